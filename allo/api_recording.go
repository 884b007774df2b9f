package allo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrNotAllo is a recording that is not fetched, because it isn't one of Allo's.
var ErrNotAllo = errors.New("not a recording of Allo's")

const (
	// maxRedirects is how many redirects on the way to a recording are followed.
	maxRedirects = 3
	// recordingAnswer is how long each server on the way may take to begin its answer.
	recordingAnswer = 10 * time.Second
	// recordingIdle is how long a recording may stand still. As a whole it may take as long as it plays.
	recordingIdle = 30 * time.Second
	// alloDomain is what the names of Allo's hosts end in.
	alloDomain = ".withallo.com"
)

// Recording fetches a recording. Of h only Range and If-Range are passed on. The answer is Allo's, whatever its status
// (401, 404 and 410 are for the caller to explain), its body is to be closed, and it ends with ctx.
//
// An event's recording_url is written by whoever sent the event, so it is not trusted: the API's own origin gets the
// key; https at another host of Allo's is fetched without it; anything else is ErrNotAllo, before any connection. Each
// redirect is held to the same. A host of Allo's whose name leads into a private network is ErrNotAllo as well, and so
// is an answer of the API that is no recording: the key opens more than those. Other errors name the host and no more.
func (a *API) Recording(ctx context.Context, rawURL string, h http.Header) (*http.Response, error) {
	u, err := url.Parse(strings.TrimSpace(rawURL))
	if err != nil {
		return nil, fmt.Errorf("%w: its URL can't be read", ErrNotAllo)
	}
	for hop := 0; ; hop++ {
		atBase, err := a.allowed(u)
		if err != nil {
			return nil, err
		}
		resp, err := a.fetch(ctx, u, atBase, h)
		if err != nil {
			return nil, fmt.Errorf("recording at %s: %w", u.Host, err)
		}
		next, err := redirect(u, resp)
		switch {
		case err != nil:
			_ = resp.Body.Close()
			return nil, fmt.Errorf("recording at %s: %w", u.Host, err)
		case next == nil && !recorded(resp):
			_ = resp.Body.Close()
			return nil, fmt.Errorf("%w: %s answers with %s", ErrNotAllo, u.Host, a.clean(resp.Header.Get("Content-Type"), maxCode))
		case next == nil:
			return resp, nil
		case hop == maxRedirects:
			_ = resp.Body.Close()
			return nil, fmt.Errorf("recording at %s: redirected more than %d times", u.Host, maxRedirects)
		}
		_ = resp.Body.Close()
		u = next
	}
}

// allowed reports whether a URL is at the API's own origin; the error is ErrNotAllo if it may not be fetched at all.
func (a *API) allowed(u *url.URL) (atBase bool, err error) {
	switch {
	case u.User != nil || u.Opaque != "" || u.Hostname() == "":
		return false, fmt.Errorf("%w: only https at a host of %s is fetched, without a user name", ErrNotAllo, alloDomain[1:])
	case origin(u) == origin(a.base):
		return true, nil
	case u.Scheme != "https" || port(u) != "443":
		return false, fmt.Errorf("%w: only https at its own port is fetched", ErrNotAllo)
	}
	sub, ok := strings.CutSuffix(strings.ToLower(u.Hostname()), alloDomain)
	if !ok || len(u.Hostname()) > 253 {
		return false, fmt.Errorf("%w: its host is not one of %s", ErrNotAllo, alloDomain[1:])
	}
	for label := range strings.SplitSeq(sub, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false, fmt.Errorf("%w: its host is not one of %s", ErrNotAllo, alloDomain[1:])
		}
	}
	return false, nil
}

func origin(u *url.URL) string {
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port(u)
}

// port is a URL's port, the usual one of its scheme if it names none.
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "http":
		return "80"
	}
	return ""
}

// redirect is where an answer leads, nil if it is no redirect.
func redirect(from *url.URL, resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("%w: it leads to a URL that can't be read", ErrNotAllo)
	}
	return to, nil
}

// recorded reports whether an answer may be sound: it isn't what an API or a page answers. An answer that isn't 2xx has
// nothing to hide.
func recorded(resp *http.Response) bool {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return true
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = strings.ToLower(resp.Header.Get("Content-Type"))
	}
	for _, not := range []string{"json", "html", "xml", "javascript"} {
		if strings.Contains(kind, not) {
			return false
		}
	}
	return true
}

// fetch makes one hop.
func (a *API) fetch(ctx context.Context, u *url.URL, atBase bool, h http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	send := func(transport http.RoundTripper, authorization string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"Range", "If-Range"} {
			if v := h.Get(name); v != "" {
				req.Header.Set(name, v)
			}
		}
		req.Header.Set("Accept-Encoding", "identity") // ranges are of the bytes as they are
		req.Header.Set("User-Agent", "allo-slack")
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		timer := time.AfterFunc(recordingAnswer, func() { cancel(fmt.Errorf("no answer within %s", recordingAnswer)) })
		defer timer.Stop()
		return transport.RoundTrip(req)
	}
	var resp *http.Response
	var err error
	if atBase {
		resp, err = a.authorized(u.Path, func(authorization string) (*http.Response, error) {
			return send(a.client.Transport, authorization)
		})
	} else {
		resp, err = send(a.elsewhere, "")
	}
	if err != nil {
		err = withoutURL(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Request = nil // it holds the key
	resp.Body = &stream{resp.Body, ctx, cancel}
	return resp, nil
}

// stream is a body that may stand still for recordingIdle at most.
type stream struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Read reads what has come. The time that passes between calls is the reader's own and doesn't count.
func (s *stream) Read(p []byte) (int, error) {
	timer := time.AfterFunc(recordingIdle, func() { s.cancel(fmt.Errorf("the recording stood still for %s", recordingIdle)) })
	n, err := s.body.Read(p)
	timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = withoutURL(s.ctx, err)
	}
	return n, err
}

// Close ends the request.
func (s *stream) Close() error {
	err := s.body.Close()
	s.cancel(nil)
	return err
}
