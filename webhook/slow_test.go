package webhook_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/webhook"
)

// hurried is a server that waits only so long for a request, and the address of its port. What it gives for the answer
// is over sooner still, so that an answer to what came too late is heard only if it is given time of its own.
func hurried(t *testing.T, wait time.Duration, c webhook.Config) (address string, log *logged) {
	t.Helper()
	h, log := mount(t, c)
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadHeaderTimeout = 10 * time.Second
	s.Config.ReadTimeout = wait
	s.Config.WriteTimeout = 100 * time.Millisecond
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewJSONHandler(log, nil), slog.LevelWarn)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), log
}

func TestABodyThatDoesNotCome(t *testing.T) {
	const half = len(text) / 2
	const slow = `{"error":"the body came too slowly; send it again"}`
	const unread = `{"error":"the body could not be read to its end"}`
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text))
	tests := []struct {
		name    string
		request string // all that follows the fixed headers
		cut     bool   // the sender says that there is no more
		status  int
		answer  string
		logAs   string
	}{
		{"half of it", length + text[:half], false, 408, slow, "too slowly"},
		{"all but a byte", length + text[:len(text)-1], false, 408, slow, "too slowly"},
		{"none of it", length, false, 408, slow, "too slowly"},
		{"of unknown length, half of it", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(text), text[:half]), false, 408, slow, "too slowly"},
		{"of unknown length, without its end", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(text), text), false, 408, slow, "too slowly"},
		{"over 256 KiB, half of it", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat(" ", 512<<10)), false, 408, slow, "too slowly"},
		{"cut by its sender", length + text[:half], true, 400, unread, "could not be read"},
		{"of unknown length, cut by its sender", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(text), text[:half]), true, 400, unread, "could not be read"},
		{"of unknown length, garbled", "Transfer-Encoding: chunked\r\n\r\nno length\r\n", false, 400, unread, "could not be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wait := 10 * time.Second
			if tt.status == 408 {
				wait = 500 * time.Millisecond
			}
			address, log := hurried(t, wait, webhook.Config{Acceptor: taker(func(context.Context, *allo.Event) (bool, error) {
				t.Error("got it stored, want it refused")
				return false, nil
			})})
			var dialer net.Dialer
			c, err := dialer.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "POST /webhook/"+secret+" HTTP/1.1\r\nHost: bot\r\n"+tt.request); err != nil {
				t.Fatal(err)
			}
			if tt.cut {
				if err := c.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			in := bufio.NewReader(c)
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("got no answer (%v), want %d", err, tt.status)
			}
			defer r.Body.Close()
			wantAnswer(t, r, tt.status, tt.answer)
			if tt.status == 408 && !r.Close {
				t.Error("got an answer without Connection: close, want the rest of the body taken for no request")
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("got %q (%v) after the answer, want the connection closed", rest, err)
			}
			for _, want := range []string{`"level":"WARN"`, tt.logAs} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("got log %q, want %q in it", log, want)
				}
			}
		})
	}
}
