package allo_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"allo-slack/allo"
	"allo-slack/fakeallo"
)

const apiKey = fakeallo.DefaultKey

// inProcess serves requests without a network, so that a test in a bubble has no time to wait for.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if v != nil {
			panic(v)
		}
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	p.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// apiOf is a client of whatever answers.
func apiOf(t testing.TB, h http.Handler) *allo.API {
	t.Helper()
	api, err := allo.NewAPI(apiKey, "https://api.example", &http.Client{Transport: inProcess{h}})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// answering is a handler that gives one answer.
func answering(status int, header map[string]string, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// listening is a client over a real connection.
func listening(t testing.TB, fake *fakeallo.Server) *allo.API {
	t.Helper()
	base, stop, err := fake.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	api, err := allo.NewAPI(apiKey, base+"/", client)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// asked lists what the stand-in was asked, with the form of the key.
func asked(fake *fakeallo.Server) string {
	var all []string
	for _, c := range fake.Calls() {
		form := "?"
		switch c.Authorization {
		case apiKey:
			form = "bare"
		case "Api-Key " + apiKey:
			form = "prefixed"
		}
		all = append(all, fmt.Sprintf("%s %s %s %d", c.Method, c.Path, form, c.Status))
	}
	return strings.Join(all, "\n")
}

func wantStatus(t testing.TB, err error, status int) *allo.APIError {
	t.Helper()
	var refused *allo.APIError
	if !errors.As(err, &refused) || refused.Status != status {
		t.Fatalf("got %v, want an APIError with status %d", err, status)
	}
	return refused
}
