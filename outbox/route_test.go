package outbox

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// muchToRoute returns a routing that does all that one can: of a new event, and of another that waits for two channels.
func muchToRoute(t *testing.T, s *Store) Routing {
	t.Helper()
	before := mustAdd(t, s, chain("before", 0)).ID
	post(t, s, 1, 0, Shown{TS: "1.0", Parts: 1})
	asked := call("asked", "C2", "C3")
	asked.Fate = Routed
	other := mustAdd(t, s, asked).ID
	e := contact("1", "A", start)
	id := mustAppend(t, s, e.Entry)
	return Routing{Event: id, Fate: Routed, Thread: Thread{Key: "call:1"}, Subject: e.Subject, Decisions: []Decision{
		{Event: id, Retold: "call:1", Marks: []Mark{{Mark: "call:1", At: start}}, Routes: routes("C1", "#a"), Touched: []int64{before}},
		{Event: other, Marks: []Mark{{Mark: "b", At: start}}, Routes: append(routes("C5"), redact("C2")...), Muted: true},
	}}
}

func TestWhatIsRoutedOnceIsNotRoutedAgain(t *testing.T) {
	s, url := openTemp(t)
	r := muchToRoute(t, s)
	if got := mustUnrouted(t, s); !slices.Equal(got, []int64{r.Event}) {
		t.Fatalf("unrouted: %v, want %d", got, r.Event)
	}
	rows := dump(t, s)
	got := mustRoute(t, s, r)[0]
	if got.Fate != Routed || !slices.Equal(got.Channels, []string{"C1", "#a", "C5"}) || !got.Updates {
		t.Errorf("effect: %+v, want it routed to three channels, and updates", got)
	}
	if list := mustUnrouted(t, s); len(list) != 0 {
		t.Errorf("unrouted: %v, want nothing", list)
	}
	routed := dump(t, s)
	if routed == rows {
		t.Fatal("nothing was changed")
	}
	s.Close()
	s = reopen(t, url)
	other := Routing{Event: r.Event, Fate: Muted, Decisions: []Decision{{Event: r.Event, Routes: routes("C9")}}}
	for _, effect := range mustRoute(t, s, r, r, other, Routing{Event: 999, Fate: Routed}) {
		if effect.Fate != "" || len(effect.Channels) != 0 || effect.Updates {
			t.Errorf("again: %+v, want nothing", effect)
		}
	}
	if again := dump(t, s); again != routed {
		t.Errorf("routing it again made\n%s\nof\n%s", again, routed)
	}
}

func TestRoutingsAreCommittedAllOrNone(t *testing.T) {
	ofNothing := Decision{Event: 999, Routes: routes("C1")}
	for at := range 3 {
		s, _ := openTemp(t)
		much := muchToRoute(t, s)
		all := []Routing{much}
		for _, id := range []string{"x", "y"} {
			e := call(id, "C1")
			all = append(all, e.routing(mustAppend(t, s, e.Entry)))
		}
		rows := dump(t, s)
		bad := slices.Clone(all)
		bad[at].Decisions = append(slices.Clone(bad[at].Decisions), ofNothing)
		if effects, err := s.Route(t.Context(), start, strictest, bad...); err == nil || effects != nil {
			t.Errorf("routed %+v, %v; want an error", effects, err)
		}
		if got := dump(t, s); got != rows {
			t.Errorf("with a bad one at %d the store has\n%s\nwant\n%s", at, got, rows)
		}
		if got := mustRoute(t, s, all...); len(got) != 3 || got[0].Fate != Routed || got[1].Fate != Routed || got[2].Fate != Routed {
			t.Errorf("without it: %+v, want all routed", got)
		}
	}
	s, _ := openTemp(t)
	if effects, err := s.Route(t.Context(), start, strictest); err != nil || len(effects) != 0 {
		t.Errorf("nothing to route: %+v, %v", effects, err)
	}
}

func fates(t *testing.T, s *Store) map[int64]string {
	t.Helper()
	all := map[int64]string{}
	if err := s.Stored(t.Context(), time.Time{}, func(e Stored) error { all[e.ID] = string(e.Fate); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFates(t *testing.T) {
	s, _ := openTemp(t)
	first := mustAppend(t, s, said("k", "1"))
	later := mustAppend(t, s, said("k", "2"))
	want := map[int64]string{first: "new", later: "new"}
	check := func() {
		t.Helper()
		if got := fates(t, s); !maps.Equal(got, want) {
			t.Errorf("fates: %v, want %v", got, want)
		}
	}
	check()
	mustRoute(t, s, Routing{Event: first, Fate: Unrouted, Decisions: []Decision{{Event: first}}})
	want[first] = "unrouted"
	check()
	mustRoute(t, s, Routing{Event: later, Fate: Amended, Decisions: []Decision{{Event: first}}})
	want[later] = "amended"
	check()
	mustRoute(t, s, Routing{Event: mustAppend(t, s, said("k", "3")), Fate: Amended, Decisions: []Decision{{Event: first, Routes: routes("C1")}}})
	want[first], want[3] = "routed", "amended"
	check()
}

func TestAChangeThatChangesNothingIsADuplicate(t *testing.T) {
	s, _ := openTemp(t)
	for i, step := range []struct {
		state  string
		change bool
		want   EventFate
		before string // the state before
	}{
		{"B", true, Routed, "-"},
		{"B", true, Duplicate, "-"},
		{"A", false, Routed, "B"}, // what tells of no change is never one, and leaves what is known
		{"B", true, Duplicate, "-"},
		{"C", true, Routed, "B"},
		{"B", true, Routed, "C"},
	} {
		e := contact("1", step.state, start.Add(time.Duration(i)*time.Minute), "C1")
		e.Key.Key, e.Body, e.Subject.Change = fmt.Sprint(i), []byte(step.state), step.change
		e.Thread, e.Marks = Thread{Key: "t"}, []Mark{{Mark: fmt.Sprint(i), At: start}}
		got := mustAdd(t, s, e)
		if got.Fate != step.want || fates(t, s)[got.ID] != string(step.want) || (len(got.Channels) > 0) != (step.want == Routed) {
			t.Errorf("step %d: %+v and %q, want %s", i, got, fates(t, s)[got.ID], step.want)
		}
		marks, err := s.Marked(t.Context(), fmt.Sprint(i), start, start, 10)
		list := deliveries(t, s, got.ID)
		if step.want == Duplicate {
			if len(list) != 0 || len(marks) != 0 || err != nil {
				t.Errorf("step %d: a duplicate went to %+v and has %+v (%v), want nothing", i, list, marks, err)
			}
			continue
		}
		if len(list) != 1 || len(marks) != 1 || list[0].Subject != "contact:1" || (list[0].Before == nil) != (step.before == "-") || list[0].Before != nil && string(list[0].Before) != step.before {
			t.Errorf("step %d: %+v and %+v (%v), want it in one channel with %s before", i, list, marks, err, step.before)
		}
	}
	if got := mustAdd(t, s, contact("2", "B", start)); got.Fate != Unrouted {
		t.Errorf("the same state of another: %+v, want no duplicate", got)
	}
}

// reach brings the only delivery of an event to a state.
func reach(t *testing.T, s *Store, event int64, state State) {
	t.Helper()
	switch state {
	case StateWaiting:
	case StatePosting:
		post(t, s, 1, 0, Shown{})
	case StateSent:
		post(t, s, 1, 0, Shown{TS: "1.0"})
	case StateAside:
		mustSettle(t, s, post(t, s, 1, 0, Shown{}), Transition{Fate: Aside, Reason: "no"}, Tick{At: start})
	case StateMoved:
		mustReplay(t, s, Selection{IDs: []int64{deliveries(t, s, event)[0].ID}, To: "C9"}, 1)
	case StateWithdrawn:
		mustDecide(t, s, Decision{Event: event, Muted: true})
	}
	if got := deliveries(t, s, event)[0].State; got != state {
		t.Fatalf("the delivery is %s, want it %s", got, state)
	}
}

func mustReplay(t *testing.T, s *Store, sel Selection, want int) {
	t.Helper()
	if done, err := replayNow(t.Context(), s, sel, start); err != nil || done.Sent != want {
		t.Fatalf("replayed %+v, %v; want %d", done, err, want)
	}
}

// What is new is told of messages that Slack has, or may have, and of those that are begun with what was known before.
func TestWhoeverShowsWhatIsNewIsToldAnew(t *testing.T) {
	for _, c := range []struct {
		state State
		now   bool // an update is noted at once
		later bool // it is to be made once the post is sent
	}{
		{StateWaiting, false, true}, {StatePosting, true, true}, {StateSent, true, true},
		{StateAside, false, false}, {StateMoved, false, false}, {StateWithdrawn, false, false},
	} {
		for name, decision := range map[string]func(event int64) []Decision{
			"news":    func(event int64) []Decision { return []Decision{{Event: event}} },
			"touched": func(event int64) []Decision { return []Decision{{Event: 2, Touched: []int64{event}}} },
			"options": func(event int64) []Decision {
				return []Decision{{Event: event, Spared: redact("C1")}}
			},
			"nothing": func(int64) []Decision { return nil },
		} {
			t.Run(string(c.state)+", "+name, func(t *testing.T) {
				s, _ := openTemp(t)
				ctx := t.Context()
				event := mustAdd(t, s, call("1", "C1")).ID
				mustAdd(t, s, call("2"))
				reach(t, s, event, c.state)
				read, err := s.Waiting(ctx, "C1", start, 1, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				known := deliveries(t, s, event)[0].Known
				effect := mustDecide(t, s, decision(event)...)
				now, later := c.now && name != "nothing", c.later && name != "nothing"
				if effect.Updates != now {
					t.Errorf("effect: %+v, want updates: %v", effect, now)
				}
				if got := deliveries(t, s, event)[0].Known; (got > known) != (name != "nothing") {
					t.Errorf("known: %d, and %d before", got, known)
				}
				open, err := s.OpenPost(ctx, "C1")
				if err == nil && c.state == StateWaiting {
					open, err = s.Begin(ctx, "C1", Message, read, Tick{At: start})
				}
				if err != nil {
					t.Fatal(err)
				}
				if open != nil {
					if got := updates(t, s); len(got) != 0 {
						t.Errorf("updates before Slack has the post: %v", got)
					}
					mustSettle(t, s, open, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start})
				}
				got := updates(t, s)
				if (len(got) == 1) != later || len(got) > 1 {
					t.Fatalf("updates: %v, want one: %v", got, later)
				}
				if !later {
					return
				}
				mustDecide(t, s, decision(event)...) // while the update is being made
				for left := range 2 {
					if err := s.Updated(ctx, got[0], nil, 0, start); err != nil {
						t.Fatal(err)
					}
					if got = updates(t, s); len(got) != 1-left {
						t.Fatalf("updates: %v, want %d", got, 1-left)
					}
				}
			})
		}
	}
}

// What an event means for others it means for each message that shows one of them.
func TestAnEventTouchesWhatItAnswers(t *testing.T) {
	s, _ := openTemp(t)
	var asked []int64
	var posts []string
	for i := range 4 {
		asked = append(asked, mustAdd(t, s, call(fmt.Sprint(i), "C1")).ID)
		if i < 3 {
			posts = append(posts, post(t, s, 1, 0, Shown{TS: fmt.Sprint(i)}).ID)
		}
	}
	answer := call("answer", "C2")
	answer.Touched = []int64{asked[2], asked[0], asked[3], 999}
	if got := mustAdd(t, s, answer); !got.Updates {
		t.Errorf("effect: %+v, want updates", got)
	}
	var got []string
	for _, u := range updates(t, s) {
		got = append(got, u.Post)
	}
	want := []string{posts[0], posts[2]}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("updates of %q, want of %q", got, want)
	}
}

// options tells those of all deliveries of a channel, parts too.
func options(t *testing.T, s *Store, channel string) string {
	t.Helper()
	list, err := s.strings(t.Context(), `SELECT part || ' ' || state || ' ' || options FROM deliveries WHERE channel = ? ORDER BY part`, channel)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, ", ")
}

func TestOptionsThatChange(t *testing.T) {
	for _, c := range []struct {
		name      string
		sent      int // messages of C1 that Slack has: the event's, and what follows it
		ofAnother bool
		want      string
		updates   int
	}{
		{"before it is posted", 0, false, "0 waiting redacted", 0},
		{"before what follows is posted", 1, false, "0 sent redacted, 1 waiting redacted, 2 waiting redacted", 1},
		{"while that is posted", 2, false, "0 sent redacted, 1 sent redacted, 2 waiting redacted", 2},
		{"after", 3, false, "0 sent redacted, 1 sent redacted, 2 sent redacted", 3},
		{"of another event", 3, true, "0 sent {}, 1 sent {}, 2 sent {}", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTemp(t)
			event := mustAdd(t, s, call("1", "C1", "C2")).ID
			other := mustAdd(t, s, call("other")).ID
			for i := range c.sent {
				shown := Shown{TS: fmt.Sprint(i)}
				if i == 0 {
					shown.Parts = 2
				}
				post(t, s, 1, 0, shown)
			}
			d := Decision{Event: event, Spared: redact("C1")}
			if c.ofAnother {
				d.Event = other
			}
			if got := mustDecide(t, s, d); got.Updates != (c.updates > 0) {
				t.Errorf("effect: %+v, want updates: %v", got, c.updates > 0)
			}
			if got := options(t, s, "C1"); got != c.want {
				t.Errorf("in the channel: %s; want %s", got, c.want)
			}
			if got := options(t, s, "C2"); got != "0 waiting {}" {
				t.Errorf("in the other channel: %s; want it as it was", got)
			}
			if got := updates(t, s); len(got) != c.updates {
				t.Errorf("%d updates, want %d", len(got), c.updates)
			}
		})
	}
}

// Where nothing new is known messages stay as they are, unless they show more than they may.
func TestWhatIsQuietIsToldOfWhatIsToBeKeptBack(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	post(t, s, 1, 0, Shown{TS: "1"})
	for i, want := range []bool{false, true, false} {
		d := Decision{Event: event, Quiet: true}
		if i > 0 {
			d.Routes = redact("C1")
		}
		if got := mustDecide(t, s, d); got.Updates != want {
			t.Errorf("time %d: %+v, want updates: %v", i+1, got, want)
		}
	}
}

// Two names for one channel, of which Slack was not asked yet: what either keeps back is kept back.
func TestTwoNamesAreAsStrictAsEither(t *testing.T) {
	for _, first := range []string{"#a", "C1"} {
		for _, redacted := range []string{"#a", "C1"} {
			s, _ := openTemp(t)
			e := call("1", first, map[string]string{"#a": "C1", "C1": "#a"}[first])
			for i := range e.Routes {
				if e.Routes[i].Channel == redacted {
					e.Routes[i].Options = "redacted"
				}
			}
			mustAdd(t, s, e)
			mustResolve(t, s, Channel{"#a", "C1", "a"})
			if got, want := options(t, s, "C1"), "0 waiting redacted"; got != want {
				t.Errorf("%s first, %s redacted: %s; want %s", first, redacted, got, want)
			}
		}
	}
}

// What follows a message is told anew only if it may show less.
func TestNewsAreToldInTheMessageAlone(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	message := post(t, s, 1, 0, Shown{TS: "1", Parts: 1})
	post(t, s, 1, 0, Shown{TS: "2"})
	mustDecide(t, s, Decision{Event: event})
	if got := updates(t, s); len(got) != 1 || got[0].Post != message.ID {
		t.Errorf("updates: %v, want one of %s", got, message.ID)
	}
}

func TestWhatFollowsAMessageHasTheOptionsOfByNow(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	p := post(t, s, 1, 0, Shown{})
	mustDecide(t, s, Decision{Event: event, Spared: redact("C1")})
	if p.Deliveries[0].Options != "{}" {
		t.Fatalf("the post holds %+v, want it as it was read", p.Deliveries[0])
	}
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0", Parts: 2}}, Tick{At: start})
	if got, want := options(t, s, "C1"), "0 sent redacted, 1 waiting redacted, 2 waiting redacted"; got != want {
		t.Errorf("in the channel: %s; want %s", got, want)
	}
	if got := updates(t, s); len(got) != 1 || got[0].Post != p.ID {
		t.Errorf("updates: %v, want one of %s", got, p.ID)
	}
}

func TestOnlyWhatWaitsIsWithdrawn(t *testing.T) {
	for state, want := range map[State]State{
		StateWaiting: StateWithdrawn, StatePosting: StatePosting, StateSent: StateSent,
		StateAside: StateAside, StateMoved: StateMoved, StateWithdrawn: StateWithdrawn,
	} {
		t.Run(string(state), func(t *testing.T) {
			s, _ := openTemp(t)
			event, other := mustAdd(t, s, call("1", "C1")).ID, mustAdd(t, s, call("2")).ID
			reach(t, s, event, state)
			mustDecide(t, s, Decision{Event: other, Muted: true})
			if got := deliveries(t, s, event)[0].State; got != state {
				t.Errorf("by a decision about another event it became %s", got)
			}
			mustDecide(t, s, Decision{Event: event, Muted: true})
			if got := deliveries(t, s, event)[0].State; got != want {
				t.Errorf("it became %s, want %s", got, want)
			}
		})
	}
}

func TestWhatWasWithdrawnIsNotAddedAgain(t *testing.T) {
	s, _ := openTemp(t)
	ctx := t.Context()
	event := mustAdd(t, s, call("1", "C1", "C2")).ID
	mustDecide(t, s, Decision{Event: event, Routes: routes("C2"), Muted: true})
	if got := mustDecide(t, s, Decision{Event: event, Routes: routes("C1", "C2", "C3")}); !slices.Equal(got.Channels, []string{"C3"}) {
		t.Errorf("effect: %+v, want the third channel only", got)
	}
	if got, want := states(t, s, event), "C1 withdrawn, C2 waiting, C3 waiting"; got != want {
		t.Errorf("it is in %s; want %s", got, want)
	}
	if busy, err := s.Busy(ctx); err != nil || !slices.Equal(busy, []string{"C2", "C3"}) {
		t.Errorf("busy: %q, %v; want the others", busy, err)
	}
	if list, err := s.Failed(ctx, start.Add(time.Hour), 10); err != nil || len(list) != 2 {
		t.Errorf("failed: %+v, %v; want the others", list, err)
	}
	if c, err := s.Counts(ctx); err != nil || c.Waiting != 2 {
		t.Errorf("counts: %+v, %v; want the others", c, err)
	}
	err := s.Stored(ctx, time.Time{}, func(e Stored) error {
		if e.ID == event && !slices.Equal(e.Channels, []string{"C2", "C3"}) {
			t.Errorf("stored: %+v, want it in the others", e)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// What a person wants sent there is.
	mustReplay(t, s, Selection{From: "C2", To: "C1"}, 1)
	if got, want := states(t, s, event), "C2 moved, C3 waiting, C1 waiting"; got != want {
		t.Errorf("it is in %s; want %s", got, want)
	}
}

// What was said is written once: that it is routed, and what becomes known of it, is a few pages however long it is.
func TestRoutingWritesNoBodyAgain(t *testing.T) {
	s, url := openTemp(t)
	e := said("k", "1")
	e.Body = []byte(strings.Repeat("x", 4<<20))
	id := mustAppend(t, s, e)
	log := func() int64 {
		t.Helper()
		info, err := os.Stat(strings.TrimPrefix(url, "sqlite:") + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if _, err := s.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	mustRoute(t, s, Routing{Event: id, Fate: Routed, Thread: Thread{Key: "t"}, Decisions: []Decision{{Event: id, Routes: routes("C1")}}})
	for range 300 {
		mustDecide(t, s, Decision{Event: id})
	}
	if size := log(); size > 300*5*pageSize {
		t.Errorf("the log has %d bytes, want a few pages for each decision", size)
	}
}
