package fakeslack

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

//go:embed page
var assets embed.FS

// csp lets the page load nothing but its own files and talk to nobody but its own server.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page is the demo's page: the workspace as a person sees it in Slack, live, with a form that sends events to the
// bot's webhook and buttons that make Slack misbehave. What was posted is shown by DOM nodes and text only, so
// nothing in it can become markup or script.
//
// Slack is needed, all else may be left out. The fields are not to be changed once Handler was called.
type Page struct {
	Slack   *Server
	Title   string
	Webhook string          // where the form posts an envelope, of the same origin; "" leaves the form out
	Samples []Sample        // what the form offers
	Notices func() []Notice // shown above the messages; nil is none

	mu      sync.Mutex
	notices chan struct{} // closed when the notices changed, and replaced
	closed  bool
}

// Sample is an event that the form offers.
type Sample struct {
	Name string
	JSON []byte
}

// Notice is something to tell whoever looks at the page. Several lines are shown as they are, errors in monospace.
type Notice struct {
	Level string `json:"level"` // info or error
	Text  string `json:"text"`
}

// NoticesChanged has all open pages ask for the notices again.
func (p *Page) NoticesChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.notices != nil {
		close(p.notices)
	}
	p.notices = make(chan struct{})
}

// Close ends the live updates of all open pages, so that http.Server.Shutdown need not wait for them
// (http.Server.RegisterOnShutdown takes it as it is).
func (p *Page) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.NoticesChanged()
}

// state is whether the page is closed, and what is closed when its notices change.
func (p *Page) state() (closed bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.notices == nil {
		p.notices = make(chan struct{})
	}
	return p.closed, p.notices
}

// Handler serves the page at /, and what it needs under /demo/.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, assets, "page/page.html")
	})
	mux.HandleFunc("GET /demo/{file}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, assets, "page/"+r.PathValue("file"))
	})
	mux.HandleFunc("GET /demo/events", p.events)
	mux.HandleFunc("POST /demo/fault", p.fault)
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	}))
}

// coalesce is the pause before a push, so that a burst is one push.
const coalesce = 25 * time.Millisecond

// events pushes what happens: "hello" with everything at first (and again if the page fell too far behind), then
// "messages", "state" and "notices" as they change.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{}) // a server's write timeout is not for this one; not all writers have one
	w.Header().Set("Content-Type", "text/event-stream")
	alive := time.NewTicker(20 * time.Second)
	defer alive.Stop()

	var rev int64
	var lastState, lastNotices []byte
	for {
		closed, noticesChanged := p.state()
		if closed {
			return
		}
		messages, state, now, fresh, changed := p.Slack.live(rev)
		rev = now
		stateJSON, noticesJSON := encode(state), encode(p.noticeList())
		var err error
		if fresh {
			err = push(w, "hello", encode(map[string]any{
				"title": p.Title, "webhook": p.Webhook, "samples": p.samples(), "messages": messages,
				"state": json.RawMessage(stateJSON), "notices": json.RawMessage(noticesJSON),
			}))
		} else {
			if !bytes.Equal(stateJSON, lastState) { // before the messages: a new channel comes before what is in it
				err = push(w, "state", stateJSON)
			}
			if len(messages) > 0 && err == nil {
				err = push(w, "messages", encode(messages))
			}
			if !bytes.Equal(noticesJSON, lastNotices) && err == nil {
				err = push(w, "notices", noticesJSON)
			}
		}
		lastState, lastNotices = stateJSON, noticesJSON
		if err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-changed:
			select {
			case <-time.After(coalesce):
			case <-r.Context().Done():
				return
			}
		case <-noticesChanged:
		case <-alive.C:
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func push(w http.ResponseWriter, event string, data []byte) error {
	_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
	return err
}

// encode writes JSON on one line. The values are the page's own, which all have a JSON form.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

func (p *Page) noticeList() []Notice {
	list := []Notice{}
	if p.Notices != nil {
		list = append(list, p.Notices()...)
	}
	return list
}

func (p *Page) samples() []map[string]string {
	list := []map[string]string{}
	for _, s := range p.Samples {
		list = append(list, map[string]string{"name": s.Name, "json": string(s.JSON)})
	}
	return list
}

// fault is what the page's buttons ask for: {"kind": "limit"|"lose"|"outage"|"archive", "on": true, "channel": "C…"}.
func (p *Page) fault(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Kind    string
		On      bool
		Channel string
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&ask); err != nil {
		http.Error(w, "not a fault in JSON", http.StatusBadRequest)
		return
	}
	switch ask.Kind {
	case "limit":
		p.Slack.toggle("limit", ask.On, limit10())
	case "lose":
		p.Slack.toggle("lose", ask.On, loseNext())
	case "outage":
		p.Slack.toggle("outage", ask.On, outage())
	case "archive":
		p.Slack.SetChannel(ask.Channel, func(c *Channel) { c.Archived = ask.On })
	default:
		http.Error(w, "no such fault", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
