package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
)

// upstream fetches recordings from a server of the test's.
type upstream string

func (u upstream) Recording(ctx context.Context, _ string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(u), nil)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Range", "If-Range"} {
		if v := header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	return http.DefaultClient.Do(req)
}

// rig is the pages of one call, served.
type rig struct {
	t     *testing.T
	pages *Pages
	call  *Call
	url   string // of the server
	log   bytes.Buffer
}

var began = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)

// sound is a recording of so many seconds: a WAV that any browser plays.
func sound(seconds int) []byte {
	const rate = 8000
	samples := make([]byte, rate*seconds)
	for i := range samples {
		samples[i] = byte(128 + 60*math.Sin(float64(i)*2*math.Pi*440/rate))
	}
	var b bytes.Buffer
	b.WriteString("RIFF")
	le := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	le(uint32(36 + len(samples)))
	b.WriteString("WAVEfmt ")
	le(uint32(16), uint16(1), uint16(1), uint32(rate), uint32(rate), uint16(1), uint16(8))
	b.WriteString("data")
	le(uint32(len(samples)))
	b.Write(samples)
	return b.Bytes()
}

// plays serves a recording as Allo does.
func plays(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		http.ServeContent(w, r, "", began, bytes.NewReader(body))
	})
}

const talk = `{"topic":"CALL_RECEIVED","data":{"id":"c1","start_date":"2026-03-04T09:30:00Z","direction":"INBOUND","result":"ANSWERED","length_in_minutes":2,"length":"2m 4s",
	"from_number":"+33612345678","from_name":"Marie Laurent","to_number":"+33142685300","to_name":"Main line","tag":"billing","user_email":"ada@acme.example",
	"one_sentence_summary":"Asked to move Thursday's delivery.","summary":"**Agreed:** Monday before noon.\n\n- card 4111 1111 1111 1111\n- mail marie@example.com",
	"data_collected":{"order_number":"12345"},"recording_url":"https://api.withallo.com/v1/assets/recordings/c1.wav",
	"transcriptions":[{"source":"AGENT","time":"2026-03-04T09:30:01Z","text":"Hello, how can I help you?"},
		{"source":"EXTERNAL","time":"2026-03-04T09:30:04Z","text":"I'd like to move a delivery. My number is +33 6 12 34 56 78."},
		{"source":"AGENT","time":"2026-03-04T09:30:08Z","text":"Monday before noon?"}]}}`

func newRig(t *testing.T, body string, recording http.Handler) *rig {
	t.Helper()
	e, err := allo.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	source := httptest.NewServer(recording)
	t.Cleanup(source.Close)
	r := &rig{t: t, call: &Call{Event: e, Options: format.Options{Zone: zone}, Recording: true}}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	r.pages, err = New(Config{
		Key: bytes.Repeat([]byte{7}, KeySize), TTL: time.Hour, PublicURL: server.URL, Fetch: upstream(source.URL),
		Load: func(_ context.Context, event int64, rule string, _ time.Time) (*Call, error) {
			if event != 1 || rule != "all" {
				return nil, nil
			}
			return r.call, nil
		},
		Log: slog.New(slog.NewJSONHandler(&r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.pages.Routes(mux)
	return r
}

// link is the page of the rig's call.
func (r *rig) link() string { return r.pages.Link(1, "all", time.Now()) }

// get asks for a URL with a header of name and value pairs.
func (r *rig) get(url string, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body) // a cut body is a case of its own
	return resp, string(b)
}
