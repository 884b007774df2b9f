package outbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStoredPages(t *testing.T) {
	s, _ := openTemp(t)
	var want []string
	for i := range 2*storedPage + 7 {
		e := call(fmt.Sprint(i), "C1", "C2")
		e.Received = start.Add(time.Duration(i/storedPage) * time.Millisecond) // many at once
		if i < 3 {
			e.Received = start.Add(-time.Hour)
		} else {
			want = append(want, string(e.Body))
		}
		mustAdd(t, s, e)
	}
	note := call("note")
	note.Kind = Note
	mustAdd(t, s, note)
	var got []string
	err := s.Stored(t.Context(), start, func(e Stored) error {
		got = append(got, string(e.Body))
		if e.Fate != "routed" || !slices.Equal(e.Channels, []string{"C1", "C2"}) || e.Received.Before(start) {
			t.Errorf("%+v", e)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d events, %v; want %d in their order", len(got), err, len(want))
	}
	stop := errors.New("stop")
	if err := s.Stored(t.Context(), start, func(Stored) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("err = %v, want what visit returned", err)
	}
}

func TestStoredReadsLargeBodiesInSmallPages(t *testing.T) {
	s, _ := openTemp(t)
	for i := range 4 {
		e := call(fmt.Sprint(i))
		e.Body = []byte(strings.Repeat(fmt.Sprint(i), storedBytes*2/3))
		mustAdd(t, s, e)
	}
	page, err := s.stored(t.Context(), 0, 0)
	if err != nil || len(page) != 2 {
		t.Errorf("a page of %d events, %v; want two, which are over %d bytes", len(page), err, storedBytes)
	}
	n := 0
	if err := s.Stored(t.Context(), time.Time{}, func(Stored) error { n++; return nil }); err != nil || n != 4 {
		t.Errorf("%d events, %v; want 4", n, err)
	}
}

func TestAVisitorWhoTakesHisTimeHoldsUpNoCheckpoint(t *testing.T) {
	s, url := openTemp(t)
	for i := range 3 {
		mustAdd(t, s, call(fmt.Sprint(i)))
	}
	body := []byte(strings.Repeat("x", 256<<10))
	visited := false
	err := s.Stored(t.Context(), time.Time{}, func(Stored) error {
		if visited {
			return nil
		}
		visited = true
		for i := range 300 { // 75 MiB
			e := call(fmt.Sprint("meanwhile ", i))
			e.Received, e.Body = start.Add(-time.Hour), body
			mustAdd(t, s, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.Stat(strings.TrimPrefix(url, "sqlite:") + "-wal")
	if err != nil || wal.Size() > 20<<20 {
		t.Errorf("the log has %d bytes, %v; want no more than a checkpoint and a write leave", wal.Size(), err)
	}
}

func TestStoredGoesThroughItsIndex(t *testing.T) {
	s, _ := openTemp(t)
	details := strings.Join(plan(t, s, storedQuery), "; ")
	if !strings.Contains(details, "SEARCH e USING INDEX events_received (received_at>") || strings.Contains(details, "SCAN") || strings.Contains(details, "TEMP B-TREE") {
		t.Errorf("plan: %s", details)
	}
}
