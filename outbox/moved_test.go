package outbox

import (
	"slices"
	"testing"
	"time"
)

func TestWhatIsSentElsewhereLeavesARow(t *testing.T) {
	s, url := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	check := func(what, want string, again ...int) {
		t.Helper()
		if got := states(t, s, event); got != want {
			t.Errorf("%s: it is in %s; want %s", what, got, want)
		}
		var counts []int
		for _, d := range deliveries(t, s, event) {
			counts = append(counts, d.Again)
		}
		if !slices.Equal(counts, again) {
			t.Errorf("%s: it was sent again %d times, want %d", what, counts, again)
		}
		if got := mustDecide(t, s, Decision{Event: event, Routes: routes("C1", "C2")}); len(got.Channels) != 0 {
			t.Errorf("%s: %+v was added again", what, got)
		}
		s.Close()
		s = reopen(t, url)
	}
	mustReplay(t, s, Selection{From: "C1", To: "C2"}, 1)
	check("to another channel", "C1 moved, C2 waiting", 0, 1)
	mustReplay(t, s, Selection{From: "C1"}, 0)
	check("what isn't there", "C1 moved, C2 waiting", 0, 1)
	mustReplay(t, s, Selection{From: "C2", To: "C1"}, 1)
	check("back", "C2 moved, C1 waiting", 1, 2)
	mustReplay(t, s, Selection{From: "C1", To: "C2"}, 1)
	check("and there again", "C1 moved, C2 waiting", 2, 3)
	d := deliveries(t, s, event)[1]
	list, err := s.Waiting(t.Context(), "C2", start, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Begin(t.Context(), "C2", Message, list, Tick{At: start})
	if err != nil {
		t.Fatal(err)
	}
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0", Parts: 1}}, Tick{At: start})
	check("sent", "C1 moved, C2 sent", 2, 3)
	if got, err := replayNow(t.Context(), s, Selection{IDs: []int64{d.ID, deliveries(t, s, event)[0].ID}, To: "C3"}, start); err != nil || got.Sent != 0 || len(got.Unknown) != 2 {
		t.Errorf("replayed %+v, %v; want two that there are none of", got, err)
	}
	// What follows it was sent again as often.
	list, err = s.Waiting(t.Context(), "C2", start, 1, 1<<20)
	if err != nil || len(list) != 1 || list[0].Part != 1 || list[0].Again != 3 {
		t.Errorf("waiting: %+v, %v; want what follows the message", list, err)
	}
}

// What a channel refused may be sent there again as often as a person likes.
func TestWhatIsSentAgainToItsChannelIsCounted(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	for again := range 3 {
		list := deliveries(t, s, event)
		if len(list) != 1 || list[0].Again != again || list[0].State != StateWaiting {
			t.Fatalf("deliveries: %+v, want one that was sent again %d times", list, again)
		}
		reach(t, s, event, StateAside)
		mustReplay(t, s, Selection{All: true}, 1)
	}
}

func TestAChannelThatHasASuccessorKeepsARow(t *testing.T) {
	s, _ := openTemp(t)
	mustResolve(t, s, Channel{"#a", "C1", "a"})
	var events []int64
	for _, id := range []string{"aside", "sent", "first", "second"} {
		events = append(events, mustAdd(t, s, call(id, "#a")).ID)
	}
	mustSettle(t, s, post(t, s, 1, 0, Shown{}), Transition{Fate: Aside, Reason: "no"}, Tick{At: start})
	post(t, s, 1, 0, Shown{TS: "1.0", Parts: 1})
	order := []string{`{"id":"first"}`, `{"id":"second"}`, `{"id":"sent"}`}
	check := func(what, channel string, want ...string) {
		t.Helper()
		for i, event := range events {
			if got := states(t, s, event); got != want[i] {
				t.Errorf("%s: event %d is in %s; want %s", what, i, got, want[i])
			}
		}
		if got := waiting(t, s, channel); !slices.Equal(got, order) {
			t.Errorf("%s: %q wait, want %q", what, got, order)
		}
		for _, event := range events {
			if got := mustDecide(t, s, Decision{Event: event, Routes: routes("C1")}); len(got.Channels) != 0 {
				t.Errorf("%s: %+v was added again", what, got)
			}
		}
	}
	mustResolve(t, s, Channel{"#a", "C2", "a"})
	check("another channel", "C2", "C2 aside, C1 moved", "C1 sent", "C2 waiting, C1 moved", "C2 waiting, C1 moved")
	mustResolve(t, s, Channel{"#a", "C3", "a"})
	check("a third", "C3", "C3 aside, C1 moved, C2 moved", "C1 sent", "C3 waiting, C1 moved, C2 moved", "C3 waiting, C1 moved, C2 moved")
	mustResolve(t, s, Channel{"#a", "C1", "a"})
	check("the first again", "C1", "C1 aside, C2 moved, C3 moved", "C1 sent", "C1 waiting, C2 moved, C3 moved", "C1 waiting, C2 moved, C3 moved")
}

// Where a channel's name comes to stand for an id, what it was spared by its name it is spared by its id.
func TestWhatANameWasSpared(t *testing.T) {
	for _, c := range []struct {
		name string
		goes func(t *testing.T, s *Store, event int64)
		want string
	}{
		{"moved", func(t *testing.T, s *Store, event int64) {
			mustReplay(t, s, Selection{From: "#a", To: "C9"}, 1)
		}, "C1 moved, C9 waiting"},
		{"withdrawn", func(t *testing.T, s *Store, event int64) {
			mustDecide(t, s, Decision{Event: event, Muted: true})
		}, "C1 withdrawn"},
		{"moved, and added by the id since", func(t *testing.T, s *Store, event int64) {
			mustReplay(t, s, Selection{From: "#a", To: "C9"}, 1)
			mustDecide(t, s, Decision{Event: event, Routes: routes("C1")})
		}, "#a moved, C9 waiting, C1 waiting"},
		{"moved by the id, and added by the name since", func(t *testing.T, s *Store, event int64) {
			mustDecide(t, s, Decision{Event: event, Routes: routes("C1"), Muted: true})
			mustReplay(t, s, Selection{From: "C1", To: "C9"}, 1)
		}, "#a withdrawn, C1 moved, C9 waiting"},
		{"sent by hand to the name of the channel where it was", func(t *testing.T, s *Store, event int64) {
			mustReplay(t, s, Selection{From: "#a", To: "C1"}, 1)
			mustReplay(t, s, Selection{From: "C1", To: "#a"}, 1)
		}, "C1 waiting"},
		{"sent by hand to the name of a channel that was spared it", func(t *testing.T, s *Store, event int64) {
			mustReplay(t, s, Selection{From: "#a", To: "C9"}, 1)
			mustDecide(t, s, Decision{Event: event, Routes: routes("C1")})
			mustDecide(t, s, Decision{Event: event, Routes: routes("C9"), Muted: true})
			mustReplay(t, s, Selection{From: "C9", To: "#a"}, 1)
		}, "C9 moved, C1 waiting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTemp(t)
			event := mustAdd(t, s, call("1", "#a")).ID
			c.goes(t, s, event)
			mustResolve(t, s, Channel{"#a", "C1", "a"})
			if got := states(t, s, event); got != c.want {
				t.Errorf("it is in %s; want %s", got, c.want)
			}
			if got := mustDecide(t, s, Decision{Event: event, Routes: routes("#a", "C1")}); len(got.Channels) != 0 {
				t.Errorf("%+v was added again", got)
			}
		})
	}
}

// What is added by a name before its id is known goes nowhere if the channel was spared it by its id.
func TestWhatAnIDWasSparedItIsSparedByItsName(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1")).ID
	mustReplay(t, s, Selection{From: "C1", To: "C9"}, 1)
	mustDecide(t, s, Decision{Event: event, Routes: routes("#a")}) // whose id isn't known yet
	mustResolve(t, s, Channel{"#a", "C1", "a"})
	if got, want := states(t, s, event), "C1 moved, C9 waiting"; got != want {
		t.Errorf("it is in %s; want %s", got, want)
	}
}

func TestPurgeTakesWhatWasMovedWithItsEvent(t *testing.T) {
	s, _ := openTemp(t)
	event := mustAdd(t, s, call("1", "C1", "C2")).ID
	list := deliveries(t, s, event)
	mustReplay(t, s, Selection{IDs: []int64{list[1].ID}, To: "C9"}, 1)
	mustDecide(t, s, Decision{Event: event, Routes: routes("C9"), Muted: true})
	if got, want := states(t, s, event), "C1 withdrawn, C2 moved, C9 waiting"; got != want {
		t.Fatalf("it is in %s; want %s", got, want)
	}
	mustPurge(t, s, start.Add(time.Hour), 2) // what asked for C9, and what withdrew it
	if got := len(deliveries(t, s, event)); got != 3 {
		t.Errorf("%d deliveries are left, want all: one waits", got)
	}
	mustDecide(t, s, Decision{Event: event, Muted: true})
	mustPurge(t, s, start.Add(time.Hour), 2)
	var rows int
	if err := s.db.QueryRow(`SELECT count(*) FROM deliveries`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d deliveries are left (%v), want none", rows, err)
	}
}

// What is about an event goes when that one goes, or by its own age if that one never came.
func TestPurgeKeepsWhatIsAboutWhatIsKept(t *testing.T) {
	s, _ := openTemp(t)
	routed := func(key, about string, channels ...string) int64 {
		g := call(key, channels...)
		g.Key.Key, g.About = key, about
		return mustAdd(t, s, g).ID
	}
	delivered, waits := routed("sent", "", "C1"), routed("waits", "", "C2")
	post(t, s, 1, 0, Shown{TS: "1.0"})
	routed("a", "sent")
	kept := routed("b", "waits")
	routed("c", "none")
	unrouted := mustAppend(t, s, call("new").Entry)
	young := call("young")
	young.Received = start.Add(2 * time.Hour)
	lately := mustAdd(t, s, young).ID
	old := routed("d", "CALL_RECEIVED:young")

	mustPurge(t, s, start.Add(time.Hour), 3)
	var got []int64
	for id := range fates(t, s) {
		got = append(got, id)
	}
	slices.Sort(got)
	if want := []int64{waits, kept, unrouted, lately, old}; !slices.Equal(got, want) {
		t.Errorf("%v are left, want %v", got, want)
	}
	if list := mustSaid(t, s, "sent"); len(list) != 0 {
		t.Errorf("said of %d, which is gone: %+v", delivered, list)
	}
	if list := mustSaid(t, s, "waits"); len(list) != 2 {
		t.Errorf("said of what is kept: %+v, want it and what is about it", list)
	}
}
