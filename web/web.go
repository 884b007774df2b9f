// Package web is the pages that people open: a call, with a player that seeks, its summary and its transcript.
//
// It promises that a page is shown only to who has its link, that the link names one call and ends; that what the rule
// redacts is on no page; that a page loads nothing from elsewhere, runs no script but its own, is in no index and no
// cache, and tells no other site that it was read; that a recording streams through without being held whole; and that
// whatever is wrong with one is said in a sentence that says what to do.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
)

//go:embed assets
var assets embed.FS

// csp lets a page load nothing but our own files.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Call is what a page shows.
type Call struct {
	Event     allo.Event
	Received  time.Time
	Options   format.Options // Redact and Zone count
	Recording bool           // it may be played
}

// Fetcher fetches recordings from Allo, and from nowhere else. Of header Range and If-Range count.
type Fetcher interface {
	Recording(ctx context.Context, url string, header http.Header) (*http.Response, error)
}

// Config is what pages are made with.
type Config struct {
	Key       []byte        // KeySize random bytes, the same after a restart
	TTL       time.Duration // how long a link works after its event came in
	PublicURL string        // where people reach the bot, without a slash at its end
	// Load returns the call that a link names, as a rule has it shown; nil if it is not kept any more. received is when it came
	// in: a store that was restored may give its id to another. It is zero if the link doesn't say.
	Load  func(ctx context.Context, event int64, rule string, received time.Time) (*Call, error)
	Fetch Fetcher
	Log   *slog.Logger
}

// Pages are the pages.
type Pages struct {
	Config
	page *template.Template
}

// New prepares the pages.
func New(c Config) (*Pages, error) {
	if len(c.Key) != KeySize {
		return nil, fmt.Errorf("the key that signs links has %d bytes, it must have %d", len(c.Key), KeySize)
	}
	page, err := template.ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, err
	}
	return &Pages{c, page}, nil
}

// Link is the link to the page of a call, as a rule has it shown. Equal arguments make equal links.
func (p *Pages) Link(event int64, rule string, received time.Time) string {
	return p.PublicURL + "/calls/" + sign(p.Key, claim{event, received, rule, received.Add(p.TTL)})
}

// Routes mounts the pages.
func (p *Pages) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /calls/{token}", p.serveCall)
	mux.HandleFunc("GET /calls/{token}/recording", p.serveRecording)
	mux.HandleFunc("GET /assets/{file}", serveAsset)
}

// serveAsset serves what pages are made of; it holds nobody's words.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind := map[string]string{"call.css": "text/css; charset=utf-8", "call.js": "text/javascript; charset=utf-8"}[name]
	b, err := assets.ReadFile("assets/" + name)
	if kind == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(b) // whoever asked may be gone
}

// problem is why a page can't be shown, and what its reader can do.
type problem struct {
	status int
	What   string
	Todo   string
}

func (p *problem) Error() string { return p.What }

// find returns the call that a request's link names.
func (p *Pages) find(r *http.Request) (*Call, error) {
	c, err := verify(p.Key, r.PathValue("token"), time.Now())
	switch {
	case errors.Is(err, errExpired):
		return nil, &problem{http.StatusGone, "This link has expired.", "Calls stay in Allo: look there for the one you need."}
	case err != nil:
		return nil, &problem{http.StatusNotFound, "There is no such page.", "Open the call again from its message in Slack: a part of the link may be missing."}
	}
	call, err := p.Load(r.Context(), c.event, c.rule, c.received)
	if err != nil {
		p.Log.ErrorContext(r.Context(), "a call can't be read for its page", "event_id", c.event, "err", err)
		return nil, &problem{http.StatusServiceUnavailable, "The call can't be read at the moment.", "Try again in a minute."}
	}
	if call == nil || call.Event.Call == nil {
		return nil, &problem{http.StatusGone, "This call is not kept here any more.", "Calls stay in Allo: look there for the one you need."}
	}
	return call, nil
}

// serveCall shows a call.
func (p *Pages) serveCall(w http.ResponseWriter, r *http.Request) {
	call, err := p.find(r)
	var wrong *problem
	if errors.As(err, &wrong) {
		p.render(w, wrong.status, "problem.html", wrong)
		return
	}
	p.render(w, http.StatusOK, "call.html", viewOf(call, "/calls/"+r.PathValue("token")+"/recording"))
}

func (p *Pages) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.page.ExecuteTemplate(&b, name, data); err != nil {
		p.Log.Error("a page can't be written", "err", err)
		http.Error(w, "the page can't be written", http.StatusInternalServerError)
		return
	}
	secret(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", csp)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked may be gone
}

// secret keeps an answer out of caches, indexes, frames, and other sites' logs.
func secret(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex, nofollow, noarchive")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// view is a call as its page shows it. All of it is clean and redacted; the template escapes it.
type view struct {
	format.Story
	Recording string // where it streams from; "" if there is none
	When      string // in the bot's own zone, until the reader's browser knows better
	Stamp     string // for the browser
	Lines     []line
	Text      string // a transcript without entries
}

// line is one entry of a transcript.
type line struct {
	Who, Words string
	At         string // as people write it, "1:05"; "" if it is not known
	Second     int    // into the call
}

func viewOf(call *Call, recording string) view {
	c := call.Event.Call
	it := format.Item{Event: call.Event, Options: call.Options}
	v := view{Story: format.Tell(it)}
	if call.Recording && c.RecordingURL != "" {
		v.Recording = recording
	}
	if !v.At.IsZero() {
		zone := call.Options.Zone
		if zone == nil {
			zone = time.UTC
		}
		v.When, v.Stamp = v.At.In(zone).Format("Monday 2 January 2006, 15:04 MST"), v.At.UTC().Format(time.RFC3339)
	}
	redact := call.Options.Redact
	for _, said := range c.Transcript {
		l := line{Who: redact.Text(format.Humanise(strings.ToLower(said.Source))), Words: redact.Text(said.Text)}
		if d := said.Time.Sub(c.Start); !said.Time.IsZero() && !c.Start.IsZero() && d >= 0 && d < 24*time.Hour {
			l.Second = int(d.Seconds())
			l.At = fmt.Sprintf("%d:%02d", l.Second/60, l.Second%60)
		}
		v.Lines = append(v.Lines, l)
	}
	if len(v.Lines) == 0 {
		v.Text = redact.Text(c.TranscriptText)
	}
	return v
}
