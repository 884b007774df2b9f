// Package webhook is where Allo calls: POST /webhook/{secret}.
//
// It promises that 200 is answered only after the event was accepted for good, and that everything else is answered
// so that Allo tries again or a person sees what is wrong. A panic is answered too, so that one bad event doesn't look
// like an outage. The secret is compared by its hash in constant time, and
// neither it nor the URI it stands in is logged. Whoever knows the secret is never refused for what others tried.
package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"

	"allo-slack/allo"
)

const (
	// maxBody is the largest body that is read. Fly's proxy buffers as much.
	maxBody = 10 << 20
	// storeTimeout is how long the store may take. Allo waits 30 s for an answer in its first generation, 20 s in its
	// second.
	storeTimeout = 10 * time.Second
	// writeTimeout is how long an answer may take to be written.
	writeTimeout = 5 * time.Second
	// retryAfter is what 503 asks Allo to wait.
	retryAfter = 10 * time.Second
	// wrongSecrets in wrongWindow is how many wrong secrets from one address are answered with 404; then it is 429.
	wrongSecrets = 10
	wrongWindow  = time.Minute
)

// Acceptor takes events for good: when Accept returns without an error the event is on disk. Accept returns soon after
// ctx ends, whatever the disk does.
type Acceptor interface {
	Accept(ctx context.Context, e *allo.Event) (duplicate bool, err error)
}

// Config is what a Handler works with.
type Config struct {
	Secrets  []string // one, or two while rotating
	Acceptor Acceptor
	Log      *slog.Logger
	// Verifier checks the signatures of the second generation; nil checks none.
	Verifier *allo.Verifier
	// RequireSigned refuses what has no signature, so all of the first generation. It needs a Verifier.
	RequireSigned bool
	// TrustFly takes the client's address from Fly-Client-IP, which Fly's proxy sets. Off Fly anybody could.
	TrustFly bool
}

// Handler answers Allo.
type Handler struct {
	secrets  [][sha256.Size]byte
	acceptor Acceptor
	log      *slog.Logger
	verifier *allo.Verifier
	signed   bool // nothing else is taken
	trustFly bool
	wrong    limiter.Store
}

// New prepares a Handler. Close ends it.
func New(c Config) (*Handler, error) {
	if len(c.Secrets) == 0 || slices.Contains(c.Secrets, "") {
		return nil, errors.New("a webhook needs a secret, and none may be empty")
	}
	if c.RequireSigned && c.Verifier == nil {
		return nil, errors.New("a webhook that takes only what is signed needs a secret to check signatures with")
	}
	// Addresses are forgotten as soon as they count no more, or whoever has many of them could fill the memory.
	wrong, err := memorystore.New(&memorystore.Config{
		Tokens: wrongSecrets, Interval: wrongWindow, SweepInterval: wrongWindow, SweepMinTTL: 2 * wrongWindow,
	})
	if err != nil {
		return nil, err
	}
	h := &Handler{acceptor: c.Acceptor, log: c.Log, verifier: c.Verifier, signed: c.RequireSigned, trustFly: c.TrustFly, wrong: wrong}
	for _, s := range c.Secrets {
		h.secrets = append(h.secrets, sha256.Sum256([]byte(s)))
	}
	return h, nil
}

// Close forgets which addresses tried wrong secrets.
func (h *Handler) Close() error { return h.wrong.Close(context.Background()) }

// Pattern is where the handler is to be mounted.
const Pattern = "/webhook/{secret}"

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.known(r.PathValue("secret")) {
		h.refuse(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed, "only POST is answered here")
		return
	}
	defer h.answerPanic(w, r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	// A body that came slowly must not leave too little time for its answer. A server that can't change the deadline
	// keeps the one it has.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(storeTimeout + writeTimeout))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.log.WarnContext(r.Context(), "webhook refused: the body is over 10 MiB")
		fail(w, http.StatusRequestEntityTooLarge, "the body is over 10 MiB")
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The event may be as good as any, so this isn't 400, which its sender need not repeat.
		h.log.WarnContext(r.Context(), "webhook refused: the body came too slowly", "bytes", len(body))
		w.Header().Set("Connection", "close") // what else may come belongs to the body
		fail(w, http.StatusRequestTimeout, "the body came too slowly; send it again")
		return
	case err != nil:
		h.log.WarnContext(r.Context(), "webhook refused: the body could not be read", "err", err)
		fail(w, http.StatusBadRequest, "the body could not be read to its end")
		return
	}
	event, err := allo.Parse(body)
	if err != nil {
		h.log.WarnContext(r.Context(), "webhook refused: not an envelope", "err", err, "bytes", len(body))
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := h.verify(r.Header, body, &event); err != nil {
		h.log.WarnContext(r.Context(), "webhook refused: "+err.Error(), "event_kind", event.Topic.Kind())
		fail(w, http.StatusUnauthorized, "the signature is missing or wrong")
		return
	}
	// What was sent whole is stored even if its sender hangs up now: it will be recognised when it comes again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	start := time.Now()
	duplicate, err := h.acceptor.Accept(ctx, &event)
	if err != nil {
		h.log.ErrorContext(r.Context(), "event not stored; answered 503 so that Allo sends it again",
			"event_kind", event.Topic.Kind(), "duration", time.Since(start).Round(time.Millisecond).String(), "err", err)
		failStore(w)
		return
	}
	if duplicate {
		answer(w, http.StatusOK, map[string]string{"status": "duplicate"})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "accepted"})
}

// verify checks the signature of an event that has to have one: all of the second generation, and whatever says that it
// is signed. The id of a delivery is believed only then.
func (h *Handler) verify(header http.Header, body []byte, e *allo.Event) error {
	if h.verifier == nil || !h.signed && !e.SecondGeneration() && !allo.Signed(header) {
		return nil
	}
	if err := h.verifier.Verify(header, body, time.Now()); err != nil {
		return err
	}
	e.Delivery = header.Get("webhook-id")
	return nil
}

// known reports whether a secret is one of ours, in a time that does not tell which or how much of it.
func (h *Handler) known(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	match := 0
	for _, s := range h.secrets {
		match |= subtle.ConstantTimeCompare(sum[:], s[:])
	}
	return match == 1
}

// refuse answers a wrong secret.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request) {
	address := h.address(r)
	_, remaining, reset, ok, err := h.wrong.Take(r.Context(), address)
	if err == nil && !ok {
		seconds := int(time.Until(time.Unix(0, int64(reset))).Seconds()) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		fail(w, http.StatusTooManyRequests, "too many wrong secrets")
		return
	}
	h.log.WarnContext(r.Context(), "webhook refused: wrong secret; check the URL at Allo against WEBHOOK_SECRET",
		"address", address, "further", remaining)
	fail(w, http.StatusNotFound, "not found")
}

// address is where a request comes from, as far as it can be known. X-Forwarded-For can be forged and isn't read.
func (h *Handler) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if h.trustFly && r.Header.Get("Fly-Client-IP") != "" {
		host = r.Header.Get("Fly-Client-IP")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	bits := 32
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		bits = 64 // one customer's network, whose addresses are his to choose from
	}
	return netip.PrefixFrom(ip, bits).Masked().Addr().String()
}

// answerPanic, deferred, answers 503 where nothing was answered because of a panic.
func (h *Handler) answerPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	// Only the runtime's own texts are known to hold nothing of the event; of another value the log gets the type.
	cause := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		cause = e.Error()
	}
	h.log.ErrorContext(r.Context(), "event not stored: a panic, which is a mistake in this program; answered 503 so that Allo sends it again",
		"panic", cause, "stack", stack())
	failStore(w)
}

// stack is the calls that led to a panic, innermost first. Unlike debug.Stack it holds no arguments.
func stack() []string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var calls []string
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		calls = append(calls, fmt.Sprintf("%s %s:%d", f.Function, filepath.Base(f.File), f.Line))
	}
	return calls
}

// failStore asks Allo to send an event again.
func failStore(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	fail(w, http.StatusServiceUnavailable, "the event could not be stored; send it again")
}

func fail(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	b, _ := json.Marshal(body) // texts can always be written
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the sender may be gone; that is seen nowhere but here
}
