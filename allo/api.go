package allo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultAPI is where Allo's API is.
const DefaultAPI = "https://api.withallo.com"

const (
	// apiTimeout bounds one request, its answer included, if the client that API was given has no time-out.
	apiTimeout = 30 * time.Second
	// maxAPIAnswer bounds how much of an answer is read. A page of 100 calls of an hour each, with their transcripts,
	// has about 10 MiB.
	maxAPIAnswer = 16 << 20
	// apiTries is how often a request is sent at most when Allo asks to wait.
	apiTries = 5
	// maxAPIWait is the longest Retry-After that is waited for. A daily quota answers with hours.
	maxAPIWait = 30 * time.Second
	// lostWait is how long a request that may have been lost waits before it is sent once more.
	lostWait = time.Second
)

// API is a client of Allo's API, of both its generations. It may be used by several goroutines at once.
//
// It promises that the key goes to the origin it was made for and nowhere else, that no error holds it, that every
// request ends, and that a 429 is waited for as Allo asks, up to maxAPIWait and as long as the context lasts.
// Source: https://help.withallo.com/en/v2/api-reference/introduction
type API struct {
	key    string
	base   *url.URL
	client *http.Client
	// elsewhere fetches recordings that are not at base's origin.
	elsewhere http.RoundTripper
	// forms remembers for v1, v2 and any other path in which form the key was taken last.
	forms [3]atomic.Uint32
}

// NewAPI makes a client. Base is the origin of the API and, for a proxy, a path before its own; "" is DefaultAPI. The
// http.Client gives transport and time-out (0 is apiTimeout), but never follows a redirect; nil makes one.
func NewAPI(key, base string, client *http.Client) (*API, error) {
	words := strings.Fields(key)
	if len(words) > 0 && words[0] == strings.TrimSpace(apiKeyForm) {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, errors.New("the API key is empty; make one at Allo under Settings > API")
	}
	key = words[0]
	if len(words) > 1 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the API key holds a character that no key has; copy it from Allo as a whole")
	}
	if base == "" {
		base = DefaultAPI
	}
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the API's URL must be http or https, a host and nothing but a path, such as %s", DefaultAPI)
	}
	own := http.Client{Timeout: apiTimeout}
	if client != nil {
		own.Transport = client.Transport
		own.Timeout = max(client.Timeout, 0)
	}
	if own.Timeout == 0 {
		own.Timeout = apiTimeout
	}
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &API{key: key, base: u, client: &own, elsewhere: guardedTransport(nil)}, nil
}

// String names the API, not the key.
func (a *API) String() string { return "Allo's API at " + a.base.Host }

// GoString hides the key as well.
func (a *API) GoString() string { return a.String() }

// apiKeyForm is what stands before the key in the second generation.
const apiKeyForm = "Api-Key "

// generationOf tells by a path which of the forms counts for it: 1, 2, or 0 for what belongs to neither.
func generationOf(path string) int {
	switch {
	case strings.Contains(path, "/v1/"):
		return 1
	case strings.Contains(path, "/v2/"):
		return 2
	}
	return 0
}

// authorized sends a request with the key in the form that was taken last, and on 401 in the other one. Send makes and
// sends the request with the given Authorization; an answer that isn't used is closed.
func (a *API) authorized(path string, send func(authorization string) (*http.Response, error)) (*http.Response, error) {
	const bare, prefixed = 1, 2
	known := &a.forms[generationOf(path)]
	form := known.Load()
	if form == 0 {
		form = prefixed
		if generationOf(path) == 1 {
			form = bare
		}
	}
	for try := 1; ; try++ {
		authorization := a.key
		if form == prefixed {
			authorization = apiKeyForm + a.key
		}
		resp, err := send(authorization)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized {
			known.Store(form)
			return resp, nil
		}
		if try == 2 {
			return resp, nil
		}
		discard(resp.Body)
		form = bare + prefixed - form
	}
}

// discard reads what little may be left of a body, so that its connection can be used again, and closes it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // the answer itself is not wanted
	_ = body.Close()
}

// call is one request to the API and where its answer goes.
type call struct {
	method string
	path   string // below base, escaped
	query  url.Values
	in     any // sent as JSON; nil sends no body
	out    any // read from JSON; nil wants no body
}

func (c call) String() string { return c.method + " " + c.path }

// do makes a call. It is sent again when Allo asks to wait, and once when it or its answer was lost on the way: reads
// do no harm twice, and writes carry a key by which Allo recognises them for an hour.
func (a *API) do(ctx context.Context, c call) error {
	var body []byte
	if c.in != nil {
		var err error
		if body, err = json.Marshal(c.in); err != nil {
			return fmt.Errorf("allo: %s: %w", c, err)
		}
	}
	idempotency := ""
	if c.method != http.MethodGet {
		idempotency = rand.Text()
	}
	lost := false
	for try := 1; ; try++ {
		err := a.once(ctx, c, body, idempotency)
		if err == nil || ctx.Err() != nil || try == apiTries {
			return err
		}
		wait := lostWait
		var refused *APIError
		switch isRefused := errors.As(err, &refused); {
		case isRefused && refused.Status == http.StatusTooManyRequests:
			wait = max(refused.RetryAfter, lostWait)
		case isRefused && !refused.passing(), errors.Is(err, errAnswer), lost:
			return err
		default:
			lost = true
			if isRefused {
				wait = max(refused.RetryAfter, lostWait)
			}
		}
		deadline, bounded := ctx.Deadline()
		if wait > maxAPIWait || bounded && time.Until(deadline) < wait {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w while Allo was to be asked again: %w", context.Cause(ctx), err)
		}
	}
}

// errAnswer is an answer that can't be used; asking again would bring the same.
var errAnswer = errors.New("the answer can't be used")

// once makes a call, in both forms of the key if need be.
func (a *API) once(ctx context.Context, c call, body []byte, idempotency string) error {
	target := a.base.JoinPath(c.path)
	target.RawQuery = c.query.Encode()
	resp, err := a.authorized(c.path, func(authorization string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, c.method, target.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", authorization)
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", "allo-slack")
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		if idempotency != "" {
			req.Header.Set("Idempotency-Key", idempotency)
		}
		return a.client.Do(req)
	})
	if err != nil {
		return fmt.Errorf("allo: %s: %w", c, withoutURL(ctx, err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("allo: %s: the answer broke off: %w", c, withoutURL(ctx, err))
	case len(answer) > maxAPIAnswer:
		return fmt.Errorf("allo: %s: %w: it is larger than %d MiB", c, errAnswer, maxAPIAnswer>>20)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return a.refusal(c, resp, answer)
	case c.out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, c.out); err != nil {
		return fmt.Errorf("allo: %s: %w: it is not the JSON that was expected (%s); see that ALLO_API_URL is Allo's API: %s",
			c, errAnswer, a.clean(resp.Header.Get("Content-Type"), maxCode), a.words(err.Error()))
	}
	return nil
}

// withoutURL drops the URL that net/http puts into its errors: it may hold a number. If the context ended, its cause
// says more.
func withoutURL(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return withURL.Err
	}
	return err
}
