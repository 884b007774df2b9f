package allo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// APIError is Allo's refusal of a request, of either generation.
// Source: https://help.withallo.com/en/v2/api-reference/guides/error-handling
type APIError struct {
	Status     int           // of HTTP
	Code       string        // Allo's, such as API_KEY_INVALID; "" if it gave none
	Message    string        // Allo's words, on one line; numbers of phones by their last four digits
	RequestID  string        // what Allo's support asks for; second generation only
	RetryAfter time.Duration // how long Allo asks to wait; 0 if it doesn't

	call   string // method and path
	advice string
}

// Error says what was asked, what Allo answered, and what to do.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "allo: %s: %d", e.call, e.Status)
	for _, part := range []struct{ before, text, after string }{
		{" ", e.Code, ""}, {": ", e.Message, ""}, {" (request ", e.RequestID, ")"}, {"; ", e.advice, ""},
	} {
		if part.text != "" {
			b.WriteString(part.before + part.text + part.after)
		}
	}
	return b.String()
}

// passing reports whether the same request may well be taken in a moment.
func (e *APIError) passing() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

const (
	maxMessage = 300 // characters
	maxCode    = 80
)

// refusal reads an answer that isn't 2xx. Whatever it holds, an APIError comes of it.
func (a *API) refusal(c call, resp *http.Response, body []byte) *APIError {
	var answer struct {
		Code    string          `json:"code"`
		Details json.RawMessage `json:"details"`
		Message string          `json:"message"`
		Error   json.RawMessage `json:"error"`
	}
	var second struct {
		Code       string  `json:"code"`
		Message    string  `json:"message"`
		RequestID  string  `json:"request_id"`
		RetryAfter float64 `json:"retry_after_seconds"`
		Suggestion string  `json:"suggestion"`
	}
	// Fields of another type than expected stay empty, and so does all of it when the body is no JSON: the status says
	// enough.
	_ = json.Unmarshal(body, &answer)
	_ = json.Unmarshal(answer.Error, &second)
	e := &APIError{Status: resp.StatusCode, call: c.String()}
	e.Code = a.clean(cmp.Or(second.Code, answer.Code), maxCode)
	e.Message = a.words(cmp.Or(second.Message, detailsOf(answer.Details), answer.Message))
	e.RequestID = a.clean(cmp.Or(second.RequestID, resp.Header.Get("X-Request-Id")), maxCode)
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), second.RetryAfter)
	e.advice = a.words(second.Suggestion)
	if e.advice == "" || e.Status == http.StatusUnauthorized {
		e.advice = e.whatToDo()
	}
	if to, err := resp.Location(); err == nil && e.Message == "" {
		e.Message = "a redirect to " + a.clean(to.Host, maxCode)
	}
	return e
}

// detailsOf says the details of the first generation: `required=CONTACTS_READ (scope)`.
func detailsOf(raw json.RawMessage) string {
	var details []struct {
		Message string `json:"message"`
		Field   string `json:"field"`
	}
	if json.Unmarshal(raw, &details) != nil {
		if text := string(raw); text != "null" {
			return text
		}
	}
	var all []string
	for _, d := range details {
		if d.Field != "" {
			d.Message += " (" + d.Field + ")"
		}
		all = append(all, d.Message)
	}
	return strings.Join(all, ", ")
}

// retryAfter reads how long to wait: the header in seconds or as a date, else what the body says in seconds.
func retryAfter(header string, seconds float64) time.Duration {
	if n, err := strconv.ParseFloat(strings.TrimSpace(header), 64); err == nil {
		seconds = n
	} else if at, err := http.ParseTime(header); err == nil {
		seconds = time.Until(at).Seconds()
	}
	if !(seconds > 0) { // NaN too
		return 0
	}
	return time.Duration(min(seconds, 1e6) * float64(time.Second))
}

var (
	// requiredScope is how Allo names the scope that a key lacks.
	requiredScope = regexp.MustCompile(`required=([A-Z_]+)`)
	// longNumber is a number of a phone, but for its last four digits.
	longNumber = regexp.MustCompile(`\+?[0-9]{3,}([0-9]{4})`)
)

func (e *APIError) whatToDo() string {
	switch {
	case e.Status >= 300 && e.Status < 400:
		return "the key is not sent after a redirect; set ALLO_API_URL to where the API is"
	case e.Status == http.StatusUnauthorized:
		return "set ALLO_API_KEY to a key from Allo, Settings > API"
	case e.Code == "API_KEY_INSUFFICIENT_SCOPE":
		scope := "the scope that is needed"
		if m := requiredScope.FindStringSubmatch(e.Message); m != nil {
			scope = "the scope " + m[1]
		}
		return "make a key with " + scope + " at Allo, Settings > API"
	case e.Status == http.StatusForbidden:
		return "the key may not do this; ask an admin of the workspace at Allo, and see that its plan has the API"
	case e.Status == http.StatusNotFound:
		return "there is no such thing at Allo, or not for this key"
	case e.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
		return fmt.Sprintf("Allo's limit for this key is reached, try again in %s", e.RetryAfter.Round(time.Second))
	case e.Status == http.StatusTooManyRequests:
		return "Allo's limit for this key is reached, try again later"
	case e.Status >= 500:
		return "Allo has trouble, try again later"
	}
	return ""
}

// words makes a sentence of Allo's fit for a log: of numbers of phones the last four digits are left.
func (a *API) words(text string) string {
	return longNumber.ReplaceAllString(a.clean(text, maxMessage), "…$1")
}

// clean makes what Allo sent one line of at most limit characters, without the key.
func (a *API) clean(text string, limit int) string {
	text = strings.ReplaceAll(text, a.key, "[key]")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	return text
}
