package fakeallo

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// PhoneCall is a call as GET /v1/api/calls tells it.
// Source: https://help.withallo.com/en/api-reference/calls/search-calls
type PhoneCall map[string]any

// AddCalls adds calls of one of the workspace's numbers. They are listed by start_date, the latest first.
func (s *Server) AddCalls(number string, calls ...PhoneCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(slices.Clone(s.phoneCalls[number]), calls...)
	sort.SliceStable(all, func(i, j int) bool { return text(all[i]["start_date"]) > text(all[j]["start_date"]) })
	s.phoneCalls[number] = all
}

func text(v any) string { s, _ := v.(string); return s }

// routes says who may ask for what: the pattern, the generation and the scope.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range []struct {
		pattern string
		scope   string
		serve   http.HandlerFunc
	}{
		{"GET /v2/api/me", "", s.me},
		{"GET /v2/api/users", "USERS_READ", s.listUsers},
		{"GET /v2/api/numbers", "PHONE_NUMBERS_READ", s.listNumbers},
		{"GET /v1/api/numbers", "PHONE_NUMBERS_READ", s.listNumbers},
		{"GET /v2/api/tags", "TAGS_READ", s.listTags},
		{"GET /v1/api/calls", "CONVERSATIONS_READ", s.listCalls},
		{"GET /v1/api/webhooks", "WEBHOOKS_READ_WRITE", s.listWebhooks},
		{"POST /v1/api/webhooks", "WEBHOOKS_READ_WRITE", s.once(s.createFirst)},
		{"DELETE /v1/api/webhooks/{id}", "WEBHOOKS_READ_WRITE", s.once(s.deleteWebhook)},
		{"GET /v2/api/webhooks", "WEBHOOKS_READ_WRITE", s.listWebhooks},
		{"POST /v2/api/webhooks", "WEBHOOKS_READ_WRITE", s.once(s.createSecond)},
		{"GET /v2/api/webhooks/event_types", "WEBHOOKS_READ_WRITE", listEventTypes},
		{"GET /v2/api/webhooks/{id}", "WEBHOOKS_READ_WRITE", s.getWebhook},
		{"DELETE /v2/api/webhooks/{id}", "WEBHOOKS_READ_WRITE", s.once(s.deleteWebhook)},
	} {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if s.let(w, r, route.scope) {
				route.serve(w, r)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !s.serveRecording(w, r) {
			refuse(w, r, http.StatusNotFound, "ENDPOINT_NOT_FOUND", "No endpoint "+r.Method+" "+r.URL.Path)
		}
	})
	return mux
}

func isFirst(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") }

// key is what the request's key opens.
func (s *Server) key(r *http.Request) (Key, bool) {
	sent := r.Header.Get("Authorization")
	bare, prefixed := strings.CutPrefix(sent, "Api-Key ")
	s.mu.Lock()
	defer s.mu.Unlock()
	k, known := s.keys[bare]
	if k.Form == Prefixed && !prefixed || k.Form == Bare && prefixed {
		known = false
	}
	return k, known
}

// let answers 401 or 403 to a request that may not have what it asks for.
func (s *Server) let(w http.ResponseWriter, r *http.Request, scope string) bool {
	k, known := s.key(r)
	if isFirst(r) && k.Generation == 2 || !isFirst(r) && k.Generation == 1 || !known {
		refuse(w, r, http.StatusUnauthorized, "API_KEY_INVALID", "The API key is invalid or does not exist.")
		return false
	}
	if scope != "" && k.Scopes != nil && !slices.Contains(k.Scopes, scope) {
		refuse(w, r, http.StatusForbidden, "API_KEY_INSUFFICIENT_SCOPE", "required="+scope)
		return false
	}
	return true
}

// refuse answers an error in the shape of the request's generation.
// Source: https://help.withallo.com/en/v2/api-reference/guides/error-handling
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if isFirst(r) {
		field := "request"
		if status == http.StatusForbidden {
			field = "scope"
		}
		var details any
		if status != http.StatusUnauthorized {
			details = []any{map[string]any{"message": message, "field": field}}
		}
		answer(w, status, map[string]any{"code": code, "details": details})
		return
	}
	kinds := map[int]string{
		400: "validation_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		409: "conflict_error", 429: "rate_limit_error",
	}
	kind := kinds[status]
	if kind == "" {
		kind = "server_error"
	}
	e := map[string]any{
		"type": kind, "code": code, "message": message, "retryable": status == 429 || status >= 500,
		"request_id": "req_fakeallo0001", "doc_url": "https://help.withallo.com/en/v2/api-reference/guides/error-codes",
	}
	if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil {
		e["retry_after_seconds"] = seconds
	}
	answer(w, status, map[string]any{"error": e})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_ = json.NewEncoder(w).Encode(body) // a client that has gone is its own business
	}
}

func data(w http.ResponseWriter, v any) { answer(w, http.StatusOK, map[string]any{"data": v}) }

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	k, _ := s.key(r)
	scopes := k.Scopes
	if scopes == nil {
		scopes = DefaultScopes()
	}
	data(w, map[string]any{
		"api_key_id": "api-fakeallo", "scopes": scopes, "endpoints": []any{},
		"team":        map[string]any{"id": "team-fakeallo", "name": workspace},
		"rate_limits": map[string]any{"read_per_second": readsPerSecond, "write_per_second": writesPerSecond},
	})
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) {
	users := []any{}
	for _, u := range s.options.Users {
		status := "ACTIVE"
		if u.Blocked {
			status = "BLOCKED"
		}
		if want := r.URL.Query().Get("status"); want == status || want == "" && !u.Blocked {
			users = append(users, map[string]any{"id": u.ID, "name": u.Name, "email": u.Email, "role": u.Role, "status": status, "image_url": nil})
		}
	}
	data(w, users)
}

func (s *Server) listNumbers(w http.ResponseWriter, r *http.Request) {
	numbers := []any{}
	for _, n := range s.options.Numbers {
		row := map[string]any{"number": n.Number, "name": n.Name, "country": n.Country}
		switch {
		case isFirst(r):
			row["is_shared_number"] = false
		case n.Number == "":
			row["type"], row["capabilities"], row["users"] = "SENDER_ID", []string{"SMS"}, []any{}
		default:
			row["type"], row["capabilities"], row["users"] = "NUMBER", []string{"VOICE", "SMS"}, []any{}
		}
		if n.Number == "" {
			row["number"] = nil
		}
		numbers = append(numbers, row)
	}
	data(w, numbers)
}

func (s *Server) listTags(w http.ResponseWriter, _ *http.Request) {
	tags := []any{}
	for i, tag := range s.options.Tags {
		tags = append(tags, map[string]any{"id": "tag-" + strconv.Itoa(i+1), "name": tag, "color": "#00AA00"})
	}
	data(w, tags)
}

// ours reports whether a number is one of the workspace's.
func (s *Server) ours(number string) bool {
	return number != "" && slices.ContainsFunc(s.options.Numbers, func(n Number) bool { return n.Number == number })
}

func (s *Server) listCalls(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	number := query.Get("allo_number")
	page, pageOK := atoi(query.Get("page"), 0, 0, math.MaxInt32)
	size, sizeOK := atoi(query.Get("size"), 10, 1, 100)
	switch {
	case number == "":
		refuse(w, r, http.StatusBadRequest, "MISSING_ALLO_NUMBER", "The allo_number parameter is required.")
		return
	case !s.ours(number):
		refuse(w, r, http.StatusNotFound, "PHONE_NUMBER_NOT_FOUND", "No phone number "+number+" in this workspace.")
		return
	case !pageOK || !sizeOK:
		refuse(w, r, http.StatusBadRequest, "INVALID_PAGE_SIZE", "Provide a numeric size between 1 and 100.")
		return
	}
	s.mu.Lock()
	all := s.phoneCalls[number]
	s.mu.Unlock()
	from := min(page*size, len(all))
	data(w, map[string]any{
		"results":  append([]PhoneCall{}, all[from:min(from+size, len(all))]...),
		"metadata": map[string]any{"total_pages": (len(all) + size - 1) / size, "current_page": page},
	})
}

func atoi(s string, absent, least, most int) (int, bool) {
	if s == "" {
		return absent, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= least && n <= most
}

// replayFor is how long an Idempotency-Key is remembered.
const replayFor = time.Hour

// replay is the answer to a write that was carried out.
type replay struct {
	at     time.Time
	what   string // method and path
	status int
	body   []byte
}
