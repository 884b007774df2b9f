package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func openTemp(t testing.TB) (*Store, string) {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	return reopen(t, url), url
}

func reopen(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// given is an event to be added: what is appended, and what is decided of it.
type given struct {
	Entry
	Decision
	Fate    EventFate // "" is Routed or Unrouted
	Thread  Thread
	Subject Subject
}

// added tells what became of what was given.
type added struct {
	ID        int64 // 0 of a repeat
	Duplicate bool
	Effect
}

func call(id string, channels ...string) given {
	return given{Entry: Entry{Kind: Allo, Topic: "CALL_RECEIVED", Body: []byte(`{"id":"` + id + `"}`), Received: start, Key: Key{Key: "CALL_RECEIVED:" + id}},
		Decision: Decision{Routes: routes(channels...)}}
}

func routes(channels ...string) []Route {
	var all []Route
	for _, c := range channels {
		all = append(all, Route{Channel: c, Rule: "r", Options: "{}"})
	}
	return all
}

// strictest is a Stricter.
func strictest(options, than string) (string, error) {
	if than == "redacted" {
		return than, nil
	}
	return options, nil
}

// redact is a route with options that keep something back.
func redact(channel string) []Route {
	return []Route{{Channel: channel, Rule: "r", Options: "redacted"}}
}

// routing is what was decided of an event that stands for itself.
func (g given) routing(event int64) Routing {
	d := g.Decision
	d.Event = event
	r := Routing{Event: event, Fate: g.Fate, Thread: g.Thread, Subject: g.Subject, Decisions: []Decision{d}}
	switch {
	case g.Fate != "":
	case len(d.Routes) > 0:
		r.Fate = Routed
	default:
		r.Fate = Unrouted
	}
	return r
}

// addTo appends what is given and routes it, unless it is a repeat.
func addTo(ctx context.Context, s *Store, g given) (added, error) {
	id, duplicate, err := s.Append(ctx, g.Entry)
	if err != nil || duplicate {
		return added{Duplicate: duplicate}, err
	}
	effects, err := s.Route(ctx, g.Received, strictest, g.routing(id))
	if err != nil {
		return added{}, err
	}
	return added{id, effects[0].Fate == Duplicate, effects[0]}, nil
}

func mustAdd(t testing.TB, s *Store, g given) added {
	t.Helper()
	got, err := addTo(t.Context(), s, g)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustAppend(t testing.TB, s *Store, e Entry) int64 {
	t.Helper()
	id, duplicate, err := s.Append(t.Context(), e)
	if err != nil || duplicate {
		t.Fatalf("append: duplicate %v, %v", duplicate, err)
	}
	return id
}

func mustRoute(t testing.TB, s *Store, all ...Routing) []Effect {
	t.Helper()
	effects, err := s.Route(t.Context(), start, strictest, all...)
	if err != nil {
		t.Fatal(err)
	}
	return effects
}

// mustDecide routes a later event that says something of others.
func mustDecide(t testing.TB, s *Store, all ...Decision) Effect {
	t.Helper()
	var events int
	if err := s.db.QueryRow(`SELECT count(*) FROM events`).Scan(&events); err != nil {
		t.Fatal(err)
	}
	e := call(fmt.Sprint("later ", events)).Entry
	e.About = "something"
	return mustRoute(t, s, Routing{Event: mustAppend(t, s, e), Fate: Amended, Decisions: all})[0]
}

// deliveries returns where an event went, in whatever state that is.
func deliveries(t testing.TB, s *Store, event int64) []Delivery {
	t.Helper()
	list, err := s.Deliveries(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// states tells where an event went and how far it came there.
func states(t testing.TB, s *Store, event int64) string {
	t.Helper()
	var all []string
	for _, d := range deliveries(t, s, event) {
		all = append(all, fmt.Sprintf("%s %s", d.Channel, d.State))
	}
	return strings.Join(all, ", ")
}

func mustResolve(t testing.TB, s *Store, c Channel, others ...string) {
	t.Helper()
	if err := s.Resolve(t.Context(), start, strictest, c, others...); err != nil {
		t.Fatal(err)
	}
}

func waiting(t testing.TB, s *Store, channel string) []string {
	t.Helper()
	list, err := s.Waiting(t.Context(), channel, start, 1000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, d := range list {
		bodies = append(bodies, string(d.Body))
	}
	return bodies
}

func TestARepeatIsRecognised(t *testing.T) {
	s, url := openTemp(t)
	first := mustAdd(t, s, call("c1", "#a", "#b"))
	if first.Duplicate || len(first.Channels) != 2 {
		t.Fatalf("first: %+v", first)
	}
	again := mustAdd(t, s, call("c1", "#a", "#b"))
	if !again.Duplicate {
		t.Errorf("again: %+v, want a duplicate", again)
	}
	if said, err := s.Said(t.Context(), "CALL_RECEIVED:c1", 0); err != nil || len(said) != 1 || said[0].ID != first.ID {
		t.Errorf("said: %+v, %v; want the first, %d", said, err, first.ID)
	}
	s.Close()
	s = reopen(t, url)
	if again := mustAdd(t, s, call("c1", "#a")); !again.Duplicate {
		t.Error("not recognised after a restart")
	}
	if got := waiting(t, s, "#a"); len(got) != 1 {
		t.Errorf("waiting in #a: %q, want one", got)
	}
}

func TestRepeatsOfAChangingSubject(t *testing.T) {
	s, _ := openTemp(t)
	change := func(state string, after time.Duration) given {
		return given{Entry: Entry{Kind: Allo, Topic: "CONTACT_UPDATED", Body: []byte(state), Received: start.Add(after), Key: Key{Key: "CONTACT_UPDATED#" + state, Window: 15 * time.Minute}},
			Subject: Subject{Name: "contact:1", State: state, Change: true}}
	}
	created := given{Entry: Entry{Kind: Allo, Topic: "CONTACT_CREATED", Body: []byte("A"), Received: start, Key: Key{Key: "CONTACT_CREATED:1"}},
		Subject: Subject{Name: "contact:1", State: "A"}}
	for i, step := range []struct {
		entry     given
		duplicate bool
	}{
		{created, false},
		{created, true},
		{change("A", time.Minute), true}, // as it was created
		{change("B", 2*time.Minute), false},
		{change("B", 3*time.Minute), true},
		{change("C", 4*time.Minute), false},
		{change("B", 5*time.Minute), true}, // late repeat of the second
		{change("B", 30*time.Minute), false},
		{change("C", 60*time.Minute), false},
		{change("C", 24*time.Hour), true}, // still the last known
		{created, true},
		{change("C", 25*time.Hour), true}, // the repeat of the creation changed nothing
	} {
		if got := mustAdd(t, s, step.entry); got.Duplicate != step.duplicate {
			t.Errorf("step %d (%s): duplicate = %v, want %v", i, step.entry.Subject.State, got.Duplicate, step.duplicate)
		}
	}
}

func TestAChannelNeverGetsAnEventTwice(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, call("early", "#support", "C1"))
	mustResolve(t, s, Channel{Ref: "#support", ID: "C1", Name: "support"})
	if got := waiting(t, s, "#support"); len(got) != 0 {
		t.Errorf("still waiting under the name: %q", got)
	}
	if got := waiting(t, s, "C1"); len(got) != 1 {
		t.Errorf("waiting under the id: %q, want one", got)
	}
	added := mustAdd(t, s, call("late", "#support", "C1"))
	if len(added.Channels) != 1 || added.Channels[0] != "C1" {
		t.Errorf("channels = %q, want [C1]", added.Channels)
	}
}

func TestOrderSurvivesResolving(t *testing.T) {
	s, _ := openTemp(t)
	for i := range 5 {
		mustAdd(t, s, call(fmt.Sprint(i), "#x"))
	}
	mustResolve(t, s, Channel{Ref: "#x", ID: "CX"})
	for i := 5; i < 10; i++ {
		mustAdd(t, s, call(fmt.Sprint(i), "#x"))
	}
	for i, body := range waiting(t, s, "CX") {
		if want := fmt.Sprintf(`{"id":"%d"}`, i); body != want {
			t.Errorf("place %d: %s, want %s", i, body, want)
		}
	}
}

// take begins a post with the oldest n of a channel.
func take(t testing.TB, s *Store, channel string, n int) *Post {
	t.Helper()
	list, err := s.Waiting(t.Context(), channel, start, n, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Begin(t.Context(), channel, Message, list, Tick{At: start, Tokens: 3})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mustSettle settles a post, or leaves it open.
func mustSettle(t testing.TB, s *Store, p *Post, to Transition, tick Tick) {
	t.Helper()
	if err := s.Settle(t.Context(), p, to, tick); err != nil {
		t.Fatal(err)
	}
}

func TestAPostIsFoundInDoubtAfterACrash(t *testing.T) {
	s, url := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	mustAdd(t, s, call("2", "C1"))
	p := take(t, s, "C1", 2)
	s.Close()
	s = reopen(t, url)
	again, err := s.OpenPost(t.Context(), "C1")
	if err != nil || again == nil {
		t.Fatalf("open post: %v, %v", again, err)
	}
	if again.ID != p.ID || !again.Doubt || again.Attempts != 1 || len(again.Deliveries) != 2 || !again.FirstAttempt.Equal(start) {
		t.Errorf("open post = %+v, want %+v", again, p)
	}
	if second := take(t, s, "C1", 2); second != nil {
		t.Errorf("a second post was begun beside the open one: %+v", second)
	}
	busy, err := s.Busy(t.Context())
	if err != nil || len(busy) != 1 || busy[0] != "C1" {
		t.Errorf("busy = %q, %v", busy, err)
	}
}

func TestSettling(t *testing.T) {
	tick := Tick{At: start.Add(time.Second), Tokens: 7}
	for _, step := range []struct {
		to      Transition
		waiting int
		aside   int
	}{
		{Transition{Fate: Sent, Shown: Shown{TS: "1.2"}}, 0, 0},
		{Transition{Fate: Split}, 2, 0},
		{Transition{Fate: Back}, 2, 0},
		{Transition{Fate: Aside, Reason: "msg_too_long"}, 0, 2},
	} {
		t.Run(step.to.Fate.String(), func(t *testing.T) {
			s, _ := openTemp(t)
			mustAdd(t, s, call("1", "C1"))
			mustAdd(t, s, call("2", "C1"))
			p := take(t, s, "C1", 2)
			mustSettle(t, s, p, step.to, tick)
			if open, err := s.OpenPost(t.Context(), "C1"); err != nil || open != nil {
				t.Errorf("still open: %+v, %v", open, err)
			}
			c, err := s.Counts(t.Context())
			if err != nil || c.Waiting != step.waiting || c.Aside != step.aside {
				t.Errorf("counts = %+v, %v; want %d waiting, %d aside", c, err, step.waiting, step.aside)
			}
			list, err := s.Waiting(t.Context(), "C1", start, 10, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				if d.Alone != (step.to.Fate == Split) {
					t.Errorf("delivery %d: alone = %v", d.ID, d.Alone)
				}
			}
			pace, err := s.Pace(t.Context(), start)
			if err != nil || pace.Workspace.Tokens != 7 || !pace.Channels["C1"].Equal(tick.At) {
				t.Errorf("pace = %+v, %v", pace, err)
			}
		})
	}
}

func TestConcurrentWritesAreAllKept(t *testing.T) {
	s, url := openTemp(t)
	const writers, each = 16, 50
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if _, err := addTo(context.Background(), s, call(fmt.Sprintf("%d-%d", w, i), "C1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	s.Close()
	s = reopen(t, url)
	if got := len(waiting(t, s, "C1")); got != writers*each {
		t.Errorf("%d kept, want %d", got, writers*each)
	}
}

func TestABadWriteSpoilsNoOther(t *testing.T) {
	s, _ := openTemp(t)
	// Hold the writer, so that what is asked for meanwhile shares a commit.
	hold, held := make(chan struct{}), make(chan struct{})
	go s.writer.do(context.Background(), func(*tx) error { close(held); <-hold; return nil })
	<-held
	bad := errors.New("bad")
	results := make(chan error, 11)
	for i := range 10 {
		go func() { _, err := addTo(context.Background(), s, call(fmt.Sprint(i), "C1")); results <- err }()
	}
	go func() { results <- s.writer.do(context.Background(), func(*tx) error { return bad }) }()
	for len(s.writer.ops) < 11 {
		runtime.Gosched() // they are on their way into the queue
	}
	close(hold)
	failed := 0
	for range 11 {
		if err := <-results; err != nil {
			failed++
			if !errors.Is(err, bad) {
				t.Errorf("unexpected error: %v", err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d writes failed, want 1", failed)
	}
	if got := len(waiting(t, s, "C1")); got != 10 {
		t.Errorf("%d kept, want 10", got)
	}
}

func TestAWriteThatNobodyWaitsForTellsSo(t *testing.T) {
	s, _ := openTemp(t)
	hold, held := make(chan struct{}), make(chan struct{})
	go s.writer.do(context.Background(), func(*tx) error { close(held); <-hold; return nil })
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Append(ctx, call("1").Entry)
	close(hold)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestPurgeKeepsWhatIsNotDelivered(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, call("sent", "C1"))
	p := take(t, s, "C1", 1)
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start})
	mustAdd(t, s, call("waiting", "C1"))
	mustAdd(t, s, call("unrouted"))
	young := call("young")
	young.Received = start.Add(2 * time.Hour)
	mustAdd(t, s, young)

	n, err := s.Purge(t.Context(), start.Add(time.Hour))
	if err != nil || n != 2 {
		t.Errorf("purged %d, %v; want 2", n, err)
	}
	if got := waiting(t, s, "C1"); len(got) != 1 {
		t.Errorf("waiting: %q", got)
	}
	if again := mustAdd(t, s, call("young")); !again.Duplicate {
		t.Error("what was kept isn't recognised")
	}
	if again := mustAdd(t, s, call("sent")); again.Duplicate {
		t.Error("what was deleted is still remembered")
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	write := func(t *testing.T, content string) string {
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + path
	}
	for name, c := range map[string]struct {
		url  func(t *testing.T) string
		want string
	}{
		"no scheme":  {func(*testing.T) string { return "allo.db" }, "must be sqlite:PATH"},
		"postgres":   {func(*testing.T) string { return "postgres://x/y" }, "SQLite only"},
		"memory":     {func(*testing.T) string { return "sqlite::memory:" }, "must name a file"},
		"no folder":  {func(t *testing.T) string { return "sqlite:" + t.TempDir() + "/none/x.db" }, "doesn't exist; create it"},
		"a folder":   {func(t *testing.T) string { return "sqlite:" + t.TempDir() }, "is a folder"},
		"no sqlite":  {func(t *testing.T) string { return write(t, strings.Repeat("not a database ", 1000)) }, "not a SQLite database"},
		"second bot": {func(t *testing.T) string { _, url := openTemp(t); return url }, "another allo-slack has it open"},
		"foreign": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "x.db")
			db, err := connect(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`CREATE TABLE theirs (x)`); err != nil {
				t.Fatal(err)
			}
			return "sqlite:" + path
		}, "some other program's database"},
		"newer": {func(t *testing.T) string {
			s, url := openTemp(t)
			if _, err := s.db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
				t.Fatal(err)
			}
			s.Close()
			return url
		}, "a newer allo-slack wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), c.url(t))
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %q, want it to say %q", err, c.want)
			}
		})
	}
}

func TestBesideABot(t *testing.T) {
	s, url := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	beside, err := OpenBeside(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if got := waiting(t, beside, "C1"); len(got) != 1 {
		t.Errorf("waiting: %q", got)
	}
	if err := beside.SetFact(t.Context(), "x", []byte("y")); err != nil {
		t.Error(err)
	}
	if got, err := s.Fact(t.Context(), "x"); err != nil || string(got) != "y" {
		t.Errorf("fact = %q, %v", got, err)
	}
	if _, err := OpenBeside(t.Context(), "sqlite:"+t.TempDir()+"/none.db"); err == nil || !strings.Contains(err.Error(), "no such store") {
		t.Errorf("err = %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, _ := openTemp(b)
	var n int64
	var mu sync.Mutex
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			id := n
			mu.Unlock()
			if _, _, err := s.Append(context.Background(), call(fmt.Sprint(id)).Entry); err != nil {
				b.Fatal(err)
			}
		}
	})
}
