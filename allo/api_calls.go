package allo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// recentSize is how many calls of a page are asked for: with transcripts a call has up to 100 KiB.
	recentSize = 25
	// maxCallPages bounds how far back RecentCalls goes for one number.
	maxCallPages = 400
)

// CallPage is one page of the calls of a number.
type CallPage struct {
	// Events are the calls, as if a webhook had told of them: CALL_RECEIVED, and Raw is such an envelope. What the API
	// doesn't know of a call (names, its one-sentence summary, whose phone it was) they lack.
	Events []Event
	// Pages is how many pages there are now; 0 if Allo didn't say.
	Pages int
}

// Calls reads one page, from 0, of the calls of one of the workspace's numbers, the latest first. Size is 1 to 100. An
// entry that can't be read is left out.
// Source: https://help.withallo.com/en/api-reference/calls/search-calls
func (a *API) Calls(ctx context.Context, number string, page, size int) (CallPage, error) {
	var answer struct {
		Data struct {
			Results  []json.RawMessage `json:"results"`
			Metadata struct {
				TotalPages int `json:"total_pages"`
			} `json:"metadata"`
		} `json:"data"`
	}
	query := url.Values{"allo_number": {number}, "page": {strconv.Itoa(page)}, "size": {strconv.Itoa(size)}}
	if err := a.do(ctx, call{method: http.MethodGet, path: "/v1/api/calls", query: query, out: &answer}); err != nil {
		return CallPage{}, err
	}
	result := CallPage{Pages: answer.Data.Metadata.TotalPages}
	for _, raw := range answer.Data.Results {
		if e, err := eventOf(raw); err == nil {
			result.Events = append(result.Events, e)
		}
	}
	return result, nil
}

// eventOf makes of a call as the API tells it the event that a webhook would have brought. The API calls the lines of
// the transcript `transcript`, the webhook `transcriptions`.
func eventOf(raw json.RawMessage) (Event, error) {
	var data map[string]json.RawMessage
	if err := json.Unmarshal(raw, &data); err != nil {
		return Event{}, err
	}
	if lines, ok := data["transcript"]; ok {
		if _, both := data["transcriptions"]; !both {
			data["transcriptions"] = lines
			delete(data, "transcript")
		}
	}
	envelope, err := json.Marshal(map[string]any{"topic": CallReceived, "data": data})
	if err != nil {
		return Event{}, err
	}
	return Parse(envelope)
}

// RecentCalls goes through the calls of numbers that began at since or later, number by number, the latest first, each
// call once even if two of the numbers took part in it. It reads page by page, as they are asked for.
//
// An error ends the calls of one number, and the next one follows; a canceled context or a key that is refused ends
// all. At most maxCallPages pages of a number are read; that there was more is an error too.
func (a *API) RecentCalls(ctx context.Context, numbers []string, since time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		seen := map[string]bool{}
		for _, number := range numbers {
			for e, err := range a.recentCalls(ctx, number, since, seen) {
				if err != nil {
					err = fmt.Errorf("calls of the number that ends in %s: %w", lastFour(number), err)
				}
				if !yield(e, err) {
					return
				}
				if err != nil && (ctx.Err() != nil || statusOf(err) == http.StatusUnauthorized) {
					return
				}
			}
		}
	}
}

func (a *API) recentCalls(ctx context.Context, number string, since time.Time, seen map[string]bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		here := map[string]bool{}
		for page := range maxCallPages {
			calls, err := a.Calls(ctx, number, page, recentSize)
			if err != nil {
				yield(Event{}, err)
				return
			}
			more := false
			for _, e := range calls.Events {
				if !e.Call.Start.IsZero() && e.Call.Start.Before(since) {
					continue
				}
				// A call that comes in meanwhile moves others on to the next page. A page of nothing but those would be
				// the first one again.
				more = more || e.ID == "" || !here[e.ID]
				if e.ID != "" && seen[e.ID] {
					here[e.ID] = true
					continue
				}
				here[e.ID], seen[e.ID] = true, true
				if !yield(e, nil) {
					return
				}
			}
			if !more || calls.Pages > 0 && page+1 >= calls.Pages {
				return
			}
		}
		yield(Event{}, errors.New("there are more than were looked at; look back less far"))
	}
}

// lastFour is what of a number may stand in a log.
func lastFour(number string) string {
	if len(number) <= 4 {
		return "…"
	}
	return number[len(number)-4:]
}
