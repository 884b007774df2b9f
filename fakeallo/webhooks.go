package fakeallo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Webhook is one that was created.
type Webhook struct {
	ID            string
	Generation    int
	URL           string
	Topics        []string
	Enabled       bool
	Number        string // first generation
	Description   string // second generation
	SigningSecret string // second generation
	Created       time.Time
}

// FirstTopics and SecondTopics are what webhooks can have.
func FirstTopics() []string {
	return []string{"CALL_RECEIVED", "SMS_RECEIVED", "SMS_SENT", "CONTACT_CREATED", "CONTACT_UPDATED"}
}

// SecondTopics are those of the second generation.
func SecondTopics() []string {
	return []string{
		"call.received", "call.triggered", "call.answered", "call.completed", "tag.added", "tag.removed",
		"sms.received", "sms.sent", "contact.created", "contact.updated", "summary.updated",
	}
}

// Webhooks lists those that are there, in the order they were made.
func (s *Server) Webhooks() []Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.webhooks)
}

// once carries out a write a single time for one Idempotency-Key, and repeats its answer. What was refused isn't
// remembered.
func (s *Server) once(write http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			write(w, r)
			return
		}
		what, now := r.Method+" "+r.URL.Path, s.options.Clock()
		s.mu.Lock()
		old, known := s.replays[key]
		s.mu.Unlock()
		if known && now.Sub(old.at) < replayFor {
			if old.what != what {
				refuse(w, r, http.StatusConflict, "IDEMPOTENCY_KEY_REUSE", "The idempotency key was used for another request.")
				return
			}
			w.Header().Set("Idempotency-Replayed", "true")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(old.status)
			_, _ = w.Write(old.body)
			return
		}
		seen := &recorder{ResponseWriter: w}
		write(seen, r)
		if seen.status < 300 {
			s.mu.Lock()
			s.replays[key] = replay{at: now, what: what, status: seen.status, body: seen.body.Bytes()}
			s.mu.Unlock()
		}
	}
}

// recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps the body.
func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// wanted is the body of a POST, of both generations.
type wanted struct {
	Number      string   `json:"allo_number"`
	URL         string   `json:"url"`
	Topics      []string `json:"topics"`
	Enabled     *bool    `json:"enabled"`
	Description string   `json:"description"`
}

// want reads the body of a POST and refuses what Allo would.
func (s *Server) want(w http.ResponseWriter, r *http.Request, topics []string) (wanted, bool) {
	var in wanted
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/json" {
		refuse(w, r, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Ensure Content-Type is application/json and the body is well-formed JSON.")
		return in, false
	}
	why := ""
	u, err := url.Parse(in.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		why = "url must be an HTTPS URL"
	case len(in.Topics) == 0:
		why = "topics must not be empty"
	case slices.ContainsFunc(in.Topics, func(t string) bool { return !slices.Contains(topics, t) }):
		why = fmt.Sprintf("topics must be of %v", topics)
	case isFirst(r) && !s.ours(in.Number):
		why = "allo_number " + in.Number + " is not one of this workspace"
	case isFirst(r) && in.Description != "":
		why = "description is unknown"
	case !isFirst(r) && in.Number != "":
		why = "allo_number is unknown"
	}
	if why != "" {
		refuse(w, r, http.StatusBadRequest, "VALIDATION_ERROR", why)
		return in, false
	}
	return in, true
}

func (s *Server) create(in wanted, generation int) Webhook {
	hook := Webhook{
		Generation: generation, URL: in.URL, Topics: in.Topics, Enabled: in.Enabled == nil || *in.Enabled, Number: in.Number,
		Description: in.Description, Created: s.options.Clock().UTC().Truncate(time.Second),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	hook.ID = "web-" + strconv.Itoa(s.made)
	if generation == 2 {
		hook.ID = "ep_" + strconv.Itoa(s.made)
		hook.SigningSecret = "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "fakeallo signing key %03d", s.made))
	}
	s.webhooks = append(s.webhooks, hook)
	return hook
}

func (s *Server) createFirst(w http.ResponseWriter, r *http.Request) {
	in, ok := s.want(w, r, FirstTopics())
	if !ok {
		return
	}
	hook := s.create(in, 1)
	// camelCase here, unlike in the list.
	data(w, map[string]any{"id": hook.ID, "alloNumber": hook.Number, "enabled": hook.Enabled, "url": hook.URL, "topics": hook.Topics})
}

func (s *Server) createSecond(w http.ResponseWriter, r *http.Request) {
	in, ok := s.want(w, r, SecondTopics())
	if !ok {
		return
	}
	hook := s.create(in, 2)
	answer(w, http.StatusCreated, map[string]any{"data": hook.row(true)})
}

// row is a webhook in lists and by its id. The second generation's secret is in no list.
func (h Webhook) row(secret bool) map[string]any {
	row := map[string]any{"id": h.ID, "url": h.URL, "topics": h.Topics, "enabled": h.Enabled}
	if h.Generation == 1 {
		row["allo_number"] = h.Number
		return row
	}
	row["description"], row["created_at"] = h.Description, h.Created.Format(time.RFC3339)
	if secret {
		row["signing_secret"] = h.SigningSecret
	}
	return row
}

func generation(r *http.Request) int {
	if isFirst(r) {
		return 1
	}
	return 2
}

func (s *Server) listWebhooks(w http.ResponseWriter, r *http.Request) {
	rows := []any{}
	for _, h := range s.Webhooks() {
		if h.Generation == generation(r) {
			rows = append(rows, h.row(false))
		}
	}
	data(w, rows)
}

func (s *Server) getWebhook(w http.ResponseWriter, r *http.Request) {
	for _, h := range s.Webhooks() {
		if h.Generation == generation(r) && h.ID == r.PathValue("id") {
			data(w, h.row(true))
			return
		}
	}
	refuse(w, r, http.StatusNotFound, "WEBHOOK_NOT_FOUND", "No webhook "+r.PathValue("id"))
}

func (s *Server) deleteWebhook(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	at := slices.IndexFunc(s.webhooks, func(h Webhook) bool { return h.Generation == generation(r) && h.ID == r.PathValue("id") })
	if at >= 0 {
		s.webhooks = slices.Delete(slices.Clone(s.webhooks), at, at+1)
	}
	s.mu.Unlock()
	if at < 0 {
		refuse(w, r, http.StatusNotFound, "WEBHOOK_NOT_FOUND", "No webhook "+r.PathValue("id"))
		return
	}
	answer(w, http.StatusNoContent, nil)
}

func listEventTypes(w http.ResponseWriter, _ *http.Request) {
	rows := []any{}
	for _, name := range SecondTopics() {
		rows = append(rows, map[string]any{"name": name, "description": "Told of by " + name})
	}
	data(w, rows)
}
