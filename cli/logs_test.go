package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/outbox"
)

// errFull is how an error of a store that can't be worked with reaches the log.
var errFull = fmt.Errorf("adding an event: %w", errors.Join(outbox.ErrUnavailable, errors.New("the disk is full")))

// logLine is what a test needs of a line of the log.
type logLine struct {
	Level    string
	Msg      string
	Err      string
	Omitted  int
	Messages []string
}

// logBuffer holds what was logged by whomever.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take is what was written since it was last asked.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// newLog is the logger that commands log with, and what it has written since it was last asked.
func newLog(t *testing.T) (log *slog.Logger, written func() []logLine) {
	t.Helper()
	var b logBuffer
	p := &program{errs: &b}
	return p.logger(settings{LogLevel: slog.LevelDebug}), func() []logLine {
		t.Helper()
		var lines []logLine
		for dec := json.NewDecoder(strings.NewReader(b.take())); dec.More(); {
			var l logLine
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, l)
		}
		return lines
	}
}

func TestWhatIsLoggedOfAnOutage(t *testing.T) {
	tests := []struct {
		name    string
		log     func(l *slog.Logger)
		bounded bool
	}{
		{"a warning", func(l *slog.Logger) { l.Warn("m", "err", errFull) }, true},
		{"an error", func(l *slog.Logger) { l.Error("m", "err", errFull) }, true},
		{"the bare error", func(l *slog.Logger) { l.Error("m", "err", outbox.ErrUnavailable) }, true},
		{"another attribute", func(l *slog.Logger) { l.Error("m", "attempt", 3, "cause", errFull) }, true},
		{"an attribute of a group", func(l *slog.Logger) { l.Error("m", slog.Group("g", "n", 1, slog.Group("h", "err", errFull))) }, true},
		{"in a group", func(l *slog.Logger) { l.WithGroup("g").Error("m", "err", errFull) }, true},
		{"an attribute of all records", func(l *slog.Logger) { l.With("err", errFull).WithGroup("g").With("n", 1).Error("m") }, true},
		{"news", func(l *slog.Logger) { l.Info("m", "err", errFull) }, false},
		{"no error", func(l *slog.Logger) { l.Error("m") }, false},
		{"an error that is none", func(l *slog.Logger) { l.Error("m", "err", error(nil)) }, false},
		{"another error", func(l *slog.Logger) { l.Error("m", "err", errors.New("slack is away")) }, false},
		{"an error of the same text", func(l *slog.Logger) { l.Error("m", "err", errors.New(errFull.Error())) }, false},
		{"the text of it", func(l *slog.Logger) { l.Error("m", "err", errFull.Error()) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, written := newLog(t)
				want := 3
				if tt.bounded {
					want = 1
				}
				for range 3 {
					tt.log(log)
				}
				time.Sleep(outageEvery - time.Nanosecond)
				if got := written(); len(got) != want {
					t.Errorf("got %d lines of 3 at once, want %d: %v", len(got), want, got)
				}
				time.Sleep(time.Nanosecond)
				tt.log(log)
				if got := written(); len(got) != 1 {
					t.Errorf("got %d lines of one a minute later, want 1: %v", len(got), got)
				}
			})
		})
	}
}

func TestWhatIsOmittedIsToldByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, written := newLog(t)
		one, other := log.With("channel", "C1"), log.WithGroup("g")
		for range 5 {
			one.Warn("not stored", "err", errFull)
			other.Warn("not stored", "err", errFull)
			log.Error("not healthy", "err", errFull)
			log.Error("not healthy", "err", errors.New("slow"))
		}
		got := written()
		if len(got) != 2+5 {
			t.Errorf("got %d lines, want 2 of the outage and 5 of something else: %v", len(got), got)
		}
		for _, l := range got {
			if l.Omitted != 0 {
				t.Errorf("got omitted %d before anything was, want none: %v", l.Omitted, l)
			}
		}
		time.Sleep(outageEvery)
		one.Warn("not stored", "err", errFull)
		log.Error("not healthy", "err", errFull)
		time.Sleep(outageEvery)
		log.Error("not healthy", "err", errFull)
		want := []logLine{
			{Level: "WARN", Msg: "not stored", Err: errFull.Error(), Omitted: 9},
			{Level: "ERROR", Msg: "not healthy", Err: errFull.Error(), Omitted: 4},
			{Level: "ERROR", Msg: "not healthy", Err: errFull.Error()},
		}
		wantLines(t, written(), want)
	})
}

// Nothing stays untold when the store works again, or when nobody asks for it.
func TestWhatIsOmittedIsToldWhenNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, written := newLog(t)
		for range 4 {
			log.Warn("not stored", "err", errFull)
			log.Error("not healthy", "err", errFull)
		}
		log.Error("once", "err", errFull)
		if got := written(); len(got) != 3 {
			t.Errorf("got %d lines, want 3: %v", len(got), got)
		}
		time.Sleep(3 * outageEvery)
		synctest.Wait()
		const told = "the store could not be worked with; more was logged than is shown"
		wantLines(t, written(), []logLine{{Level: "ERROR", Msg: told, Omitted: 6, Messages: []string{"not healthy", "not stored"}}})

		log.Warn("not stored", "err", errFull)
		wantLines(t, written(), []logLine{{Level: "WARN", Msg: "not stored", Err: errFull.Error()}})
		time.Sleep(time.Hour)
		synctest.Wait()
		wantLines(t, written(), nil)
	})
}

func TestTheRateOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records, messages = 10_000, 5
		log, written := newLog(t)
		for i := range records {
			log.Error(fmt.Sprint("message ", i%messages), "attempt", i, "err", errFull)
			time.Sleep(time.Minute / records)
		}
		lines := written()
		if len(lines) != messages {
			t.Errorf("got %d lines in the minute, want %d", len(lines), messages)
		}
		time.Sleep(3 * outageEvery)
		synctest.Wait()
		rest := written()
		if len(rest) != 1 || rest[0].Omitted != records-messages || len(rest[0].Messages) != messages {
			t.Errorf("got %v after the minute, want a line that tells of %d more", rest, records-messages)
		}
	})
}

// An outage of an hour draws a line a minute and message, and those with what they say are all that happened.
func TestALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 5
		log, written := newLog(t)
		records := 0
		for range 3600 {
			for i := range messages {
				for range 1 + i {
					log.Error(fmt.Sprint("message ", i), "err", errFull)
					records++
				}
			}
			time.Sleep(time.Second)
		}
		during := written()
		if len(during) != 60*messages {
			t.Errorf("got %d lines in an hour, want %d", len(during), 60*messages)
		}
		time.Sleep(3 * outageEvery)
		synctest.Wait()
		told := len(during)
		for _, l := range slices.Concat(during, written()) {
			told += l.Omitted
		}
		if told != records {
			t.Errorf("got %d records told of, want %d", told, records)
		}
	})
}

func TestMessagesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logBuffer
		h := newOutageHandler(slog.NewJSONHandler(&b, nil))
		log := slog.New(h)
		for i := range 10_000 {
			log.Error(fmt.Sprint("message ", i), "err", errFull)
		}
		h.outages.mu.Lock()
		kept := len(h.outages.of)
		h.outages.mu.Unlock()
		if kept > maxOutages+1 {
			t.Errorf("got %d messages kept, want %d at most", kept, maxOutages+1)
		}
		if got := strings.Count(b.take(), "\n"); got != maxOutages+1 {
			t.Errorf("got %d lines, want one for each of %d messages and one for the others", got, maxOutages)
		}
		time.Sleep(3 * outageEvery)
		synctest.Wait()
		want := fmt.Sprintf(`"omitted":%d,"messages":[%q]}`, 10_000-maxOutages-1, otherOutages)
		if got := b.take(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			t.Errorf("got %q, want a line with %s", got, want)
		}
		// Those of long ago make room for others, also where none of them was omitted.
		for round := range 3 {
			for i := range maxOutages {
				log.Error(fmt.Sprint("message ", i, " of round ", round), "err", errFull)
			}
			if got := strings.Count(b.take(), "\n"); got != maxOutages {
				t.Errorf("got %d lines, want one for each of %d messages", got, maxOutages)
			}
			time.Sleep(outageEvery)
		}
	})
}

func TestAnOutageThatManyMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, written := newLog(t)
		var group sync.WaitGroup
		for i := range 8 {
			log := log.With("worker", i)
			group.Go(func() {
				for range 90 {
					log.Warn("not stored", "err", errFull)
					time.Sleep(time.Second)
				}
			})
		}
		group.Wait()
		time.Sleep(3 * outageEvery)
		synctest.Wait()
		lines := written()
		told := 0
		for _, l := range lines {
			told += l.Omitted
			if len(l.Messages) == 0 {
				told++
			}
		}
		if len(lines) != 3 || told != 8*90 {
			t.Errorf("got %d lines that tell of %d, want 3 that tell of %d: %v", len(lines), told, 8*90, lines)
		}
	})
}

func wantLines(t *testing.T, got, want []logLine) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b logLine) bool {
		return a.Level == b.Level && a.Msg == b.Msg && a.Err == b.Err && a.Omitted == b.Omitted && slices.Equal(a.Messages, b.Messages)
	}) {
		t.Errorf("got lines %v, want %v", got, want)
	}
}
