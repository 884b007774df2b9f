package slackapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// setting prepares somewhere to send to, and may change the client and the context for it.
type setting func(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context)

// transport is the real transport below a client that HTTPClient made.
func transport(client *http.Client) *http.Transport {
	return client.Transport.(watcher).next.(*http.Transport)
}

// handled is a server that reads each request whole before it does anything.
func handled(h http.HandlerFunc) setting {
	return func(t *testing.T, ctx context.Context, _ *http.Client) (string, context.Context) {
		s := httptest.NewServer(whole(h))
		t.Cleanup(s.Close)
		return s.URL, ctx
	}
}

// http2 is such a server, over TLS and HTTP/2, as Slack is.
func http2(h http.HandlerFunc) setting {
	return func(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
		s := httptest.NewUnstartedServer(whole(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("got %s, want HTTP/2", r.Proto)
			}
			h(w, r)
		}))
		s.EnableHTTP2 = true
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		transport(client).TLSClientConfig = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		return s.URL, ctx
	}
}

func whole(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // what can't be read is missing from the form
		h(w, r)
	}
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// says is a server that answers with 200 and body.
func says(body string) setting { return handled(reply(http.StatusOK, body)) }

// status is a server that answers with a page, as proxies and balancers do.
func status(code int) setting { return handled(reply(code, "<html><body>no</body></html>")) }

// limit is a 429 with a Retry-After, or without if it is "".
func limit(retryAfter string) setting {
	return handled(func(w http.ResponseWriter, r *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		reply(http.StatusTooManyRequests, `{"ok":false,"error":"ratelimited"}`)(w, r)
	})
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0) // then closing is a reset
	_ = conn.Close()
}

// half promises body and sends half of it.
func half(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		reply(status, body[:len(body)/2])(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T, ctx context.Context, _ *http.Client) (string, context.Context) {
	l := listen(t)
	l.Close()
	return "http://" + l.Addr().String(), ctx
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// noHost is a name that can't be looked up: the resolver reaches no server.
func noHost(_ *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ENETUNREACH }}
	transport(client).DialContext = (&net.Dialer{Resolver: resolver}).DialContext
	return "http://slack.test", ctx
}

// noDial is an address that doesn't answer until the caller gives up.
func noDial(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	transport(client).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return "http://slack.test", ctx
}

func untrusted(t *testing.T, ctx context.Context, _ *http.Client) (string, context.Context) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, ctx
}

func notTLS(t *testing.T, ctx context.Context, _ *http.Client) (string, context.Context) {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return "https://" + s.Listener.Addr().String(), ctx
}

// noHandshake takes connections and hears the client out, but says nothing.
func noHandshake(t *testing.T, ctx context.Context, _ *http.Client) (string, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	l := listen(t)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	}()
	return "https://" + l.Addr().String(), ctx
}

func proxyRefuses(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("got %s, want CONNECT", r.Method)
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	transport(client).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(s.URL) }
	return "https://slack.test", ctx
}

// resetAfter is a server to which the connection breaks once so many bytes of the request were written.
func resetAfter(server func(http.HandlerFunc) setting, n int64) setting {
	return func(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
		url, _ := server(func(_ http.ResponseWriter, r *http.Request) {
			if r.PostForm.Has("unfurl_media") { // the last field
				t.Error("the request came whole")
			}
		})(t, ctx, client)
		var conn breaking
		transport(client).DialContext = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			conn.left.Store(1 << 20) // for hand shakes
			conn.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return &conn, err
		}
		return url, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { conn.left.Store(n) }})
	}
}

// breaking is a connection that can be written to only so much.
type breaking struct {
	net.Conn
	left atomic.Int64
}

func (c *breaking) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:max(0, min(int64(len(p)), c.left.Load()))])
	c.left.Add(-int64(n))
	if err == nil && n < len(p) {
		err = syscall.ECONNRESET
	}
	return n, err
}

// giveUp is a server whose client gives up once the server has the whole request.
func giveUp(server func(http.HandlerFunc) setting) setting {
	return func(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		t.Cleanup(cancel)
		url, _ := server(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // over HTTP/2 this begins with the head
			cancel()
			<-r.Context().Done()
		})(t, ctx, client)
		return url, ctx
	}
}

// late is a server that doesn't answer in the time that it is given from when the request was written.
func late(server func(http.HandlerFunc) setting) setting {
	return func(t *testing.T, ctx context.Context, client *http.Client) (string, context.Context) {
		transport(client).ResponseHeaderTimeout = 20 * time.Millisecond
		return server(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })(t, ctx, client)
	}
}

// Of long answers few are read at a time.
func TestLongAnswersAreReadFewAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := Transport(nil).(watcher)
		ctx, cancel := context.WithCancel(t.Context())
		long := &longAnswers{hold: make(chan struct{})}
		var readers sync.WaitGroup
		for range 30 {
			readers.Go(func() {
				if _, done, err := w.read(ctx, io.NopCloser(&longAnswer{of: long}), maxAnswer); err == nil {
					done()
				}
			})
		}
		pass(time.Second)
		if got := long.beyond(); got != largeAtOnce {
			t.Errorf("%d answers are read beyond %d bytes, want %d", got, usualPage, largeAtOnce)
		}
		close(long.hold)
		cancel()
		readers.Wait()
	})
}

// longAnswers counts those that are read beyond what each may be.
type longAnswers struct {
	hold chan struct{}
	mu   sync.Mutex
	n    int
}

func (l *longAnswers) beyond() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// longAnswer has no end.
type longAnswer struct {
	of   *longAnswers
	read int
}

func (a *longAnswer) Read(p []byte) (int, error) {
	if a.read > usualPage {
		a.of.mu.Lock()
		a.of.n++
		a.of.mu.Unlock()
		<-a.of.hold
		a.read = -1 << 40
	}
	a.read += len(p)
	return len(p), nil
}
