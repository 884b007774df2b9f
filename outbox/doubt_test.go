package outbox

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// attempt is another attempt that is about to be made.
var attempt = Transition{Form: Message, Tries: 1, Doubt: true}

// What is being posted waits as much as what is not: everything that counts or lists what waits tells of it.
func TestWhatIsInDoubtWaits(t *testing.T) {
	s, _ := openTemp(t)
	ctx, later := t.Context(), start.Add(time.Hour)
	for i := range 3 {
		mustAdd(t, s, call(fmt.Sprint(i), "C1"))
	}
	p := take(t, s, "C1", 2)

	c, err := s.Counts(ctx)
	if err != nil || c.Waiting != 3 || !c.Oldest.Equal(start) {
		t.Errorf("counts = %+v, %v; want 3 that wait since %v", c, err, start)
	}
	at, err := s.StuckAt(ctx, "C1")
	if err != nil || at.Waiting != 3 || !at.Oldest.Equal(start) || at.Why != "" {
		t.Errorf("the channel has %+v, %v; want 3 that wait since %v", at, err, start)
	}
	if list, err := s.Failed(ctx, start, 10); err != nil || len(list) != 0 {
		t.Errorf("failed: %+v, %v; want nothing, as no attempt went wrong", list, err)
	}
	if list, err := s.Failed(ctx, later, 10); err != nil || len(list) != 3 {
		t.Errorf("failed an hour later: %+v, %v; want all", list, err)
	}

	for _, step := range []struct {
		to   Transition
		tick Tick
	}{
		{Transition{Reason: "HTTP 500", Doubt: true}, Tick{}},
		{Transition{Reason: "message_limit_exceeded", Tries: -1}, Tick{At: start}},
		{Transition{Reason: "HTTP 403"}, Tick{At: start}},
	} {
		mustSettle(t, s, p, step.to, step.tick)
		if at, err := s.StuckAt(ctx, "C1"); err != nil || at.Why != step.to.Reason {
			t.Errorf("the channel is stuck for %q (%v), want %q", at.Why, err, step.to.Reason)
		}
		list, err := s.Failed(ctx, start, 10)
		if err != nil || len(list) != 3 {
			t.Fatalf("failed: %+v, %v; want the post's two and what waits behind them", list, err)
		}
		for _, f := range list {
			if f.Aside || f.Reason != step.to.Reason {
				t.Errorf("failed: %+v, want one that waits for %q", f, step.to.Reason)
			}
		}
	}
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start})
	if list, err := s.Failed(ctx, start, 10); err != nil || len(list) != 0 {
		t.Errorf("failed: %+v, %v; want nothing any more", list, err)
	}
}

// What a post holds can be sent elsewhere by hand, unless Slack may have it and nobody has looked.
func TestReplayOfWhatIsBeingPosted(t *testing.T) {
	notTaken := Transition{Reason: "HTTP 403"}
	looked := Transition{Reason: "HTTP 500", Doubt: true, Looked: true}
	for _, c := range []struct {
		name      string
		before    []Transition
		chosen    []int // of the post's two deliveries
		elsewhere bool
		want      Replayed
		there     []string
		gone      bool // the post
	}{
		{"not taken", []Transition{notTaken}, []int{0}, true, Replayed{Sent: 1}, []string{"0"}, true},
		{"in doubt, all of it", nil, []int{0, 1}, true, Replayed{InDoubt: 2}, nil, false},
		{"in doubt, a part", nil, []int{1}, true, Replayed{InDoubt: 1}, nil, false},
		{"looked for", []Transition{looked}, []int{0, 1}, true, Replayed{Sent: 2}, []string{"0", "1"}, true},
		{"looked for, and tried again", []Transition{looked, attempt}, []int{0, 1}, true, Replayed{InDoubt: 2}, nil, false},
		{"to the same channel", nil, []int{0, 1}, false, Replayed{Already: 2}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTemp(t)
			ctx := t.Context()
			for i := range 3 {
				mustAdd(t, s, call(fmt.Sprint(i), "C1"))
			}
			p := take(t, s, "C1", 2)
			for _, to := range c.before {
				mustSettle(t, s, p, to, Tick{At: start})
			}
			sel := Selection{}
			for _, i := range c.chosen {
				sel.IDs = append(sel.IDs, p.Deliveries[i].ID)
			}
			if c.elsewhere {
				sel.To = "C2"
			}
			done, err := replayNow(ctx, s, sel, start)
			if err != nil || done.Sent != c.want.Sent || done.Already != c.want.Already || done.InDoubt != c.want.InDoubt || len(done.Unknown) != 0 {
				t.Errorf("replayed %+v, %v; want %+v", done, err, c.want)
			}
			var want []string
			for _, i := range c.there {
				want = append(want, fmt.Sprintf(`{"id":"%s"}`, i))
			}
			if got := waiting(t, s, "C2"); !slices.Equal(got, want) {
				t.Errorf("waiting in the other channel: %q, want %q", got, want)
			}
			if err := s.Settle(ctx, p, attempt, Tick{At: start}); errors.Is(err, ErrGone) != c.gone || err != nil && !c.gone {
				t.Errorf("the next attempt: %v, want ErrGone: %v", err, c.gone)
			}
			if c, err := s.Counts(ctx); err != nil || c.Waiting != 3 {
				t.Errorf("%d wait (%v), want 3", c.Waiting, err)
			}
		})
	}
}

// A channel that was made anew has another id: all that is on its way to the one before goes there, in its order.
func TestANameThatChangesItsID(t *testing.T) {
	for _, c := range []struct {
		name  string
		to    Transition // of the old channel's open post
		waits bool       // for what Slack may have
	}{
		{"nothing is being posted", Transition{Fate: Back}, false},
		{"surely not taken", Transition{Reason: "is_archived"}, false},
		{"in doubt", Transition{Doubt: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTemp(t)
			ctx := t.Context()
			mustResolve(t, s, Channel{Ref: "#a", ID: "C1", Name: "a"})
			for i := range 4 {
				mustAdd(t, s, call(fmt.Sprint(i), "#a"))
			}
			mustSettle(t, s, take(t, s, "C1", 1), Transition{Fate: Aside, Reason: "no"}, Tick{At: start})
			p := take(t, s, "C1", 1)
			mustSettle(t, s, p, c.to, Tick{At: start})
			err := s.Resolve(ctx, start, strictest, Channel{Ref: "#a", ID: "C2", Name: "a"})
			if errors.Is(err, ErrPosting) != c.waits || err != nil && !c.waits {
				t.Fatalf("resolved: %v, want ErrPosting: %v", err, c.waits)
			}
			if c.waits {
				mustAdd(t, s, call("4", "#a"))
				if got := waiting(t, s, "C1"); len(got) != 3 {
					t.Errorf("waiting in the old channel: %q, want all but the post's", got)
				}
				mustSettle(t, s, p, Transition{Fate: Back}, Tick{At: start})
				mustResolve(t, s, Channel{Ref: "#a", ID: "C2", Name: "a"})
			} else {
				mustAdd(t, s, call("4", "#a"))
			}
			want := []string{`{"id":"1"}`, `{"id":"2"}`, `{"id":"3"}`, `{"id":"4"}`}
			if got := waiting(t, s, "C2"); !slices.Equal(got, want) {
				t.Errorf("waiting in the new channel: %q, want %q", got, want)
			}
			if busy, err := s.Busy(ctx); err != nil || !slices.Equal(busy, []string{"C2"}) {
				t.Errorf("busy = %q, %v; want the new channel only", busy, err)
			}
			if done, err := replayNow(ctx, s, Selection{All: true, From: "#a"}, start); err != nil || done.Sent != 1 {
				t.Errorf("replayed %+v, %v; want what was set aside in the old channel", done, err)
			}
		})
	}
}

// Another reference that stands for the old channel means that one, whether the rules have its name or its id; one that
// they don't have any more means nothing.
func TestAChannelThatAnotherReferenceNamesKeepsWhatItHas(t *testing.T) {
	for _, c := range []struct {
		other string
		named bool
		stays int
	}{{"C1", true, 1}, {"#b", true, 1}, {"C1", false, 0}, {"#b", false, 0}} {
		s, _ := openTemp(t)
		for _, ref := range []string{"#a", c.other} {
			mustResolve(t, s, Channel{ref, "C1", "a"})
		}
		mustAdd(t, s, call("1", "#a"))
		named := []string{"#a"}
		if c.named {
			named = append(named, c.other)
		}
		mustResolve(t, s, Channel{"#a", "C2", "a"}, named...)
		if got := waiting(t, s, "C1"); len(got) != c.stays {
			t.Errorf("%s, named %v: %d wait in the old channel, want %d", c.other, c.named, len(got), c.stays)
		}
	}
}

// Between reading what waits and committing the post that shows it something may become known: an update tells it.
func TestWhatBecomesKnownWhileAPostIsBegun(t *testing.T) {
	for _, c := range []struct {
		name string
		news func(t *testing.T, s *Store, asked int64)
		want int
	}{
		{"nothing", func(*testing.T, *Store, int64) {}, 0},
		{"another event", func(t *testing.T, s *Store, _ int64) { mustAdd(t, s, call("2", "C2")) }, 0},
		{"a tag", func(t *testing.T, s *Store, asked int64) {
			mustDecide(t, s, Decision{Event: asked})
		}, 1},
		{"an answer", func(t *testing.T, s *Store, asked int64) {
			answer := call("2", "C2")
			answer.Touched = []int64{asked}
			mustAdd(t, s, answer)
		}, 1},
		{"other options", func(t *testing.T, s *Store, asked int64) {
			mustDecide(t, s, Decision{Event: asked, Spared: redact("C1")})
		}, 1},
		// What is in its thread is read when it is rendered, after this.
		{"what its message tells of", func(t *testing.T, s *Store, _ int64) { mustAdd(t, s, chain("2", time.Minute)) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := openTemp(t)
			ctx := t.Context()
			asked := mustAdd(t, s, chain("1", 0)).ID
			list, err := s.Waiting(ctx, "C1", start, 1, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			c.news(t, s, asked)
			p, err := s.Begin(ctx, "C1", Message, list, Tick{At: start})
			if err != nil {
				t.Fatal(err)
			}
			mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start})
			if list, err := s.Updates(ctx, 10); err != nil || len(list) != c.want {
				t.Errorf("%d updates (%v), want %d", len(list), err, c.want)
			}
		})
	}
}

// A channel that refuses everything makes a post at each try, for weeks.
func TestARefusedPostLeavesNothing(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	for range 100 {
		mustSettle(t, s, take(t, s, "C1", 1), Transition{Fate: Back}, Tick{At: start})
	}
	var posts int
	if err := s.db.QueryRow(`SELECT count(*) FROM posts`).Scan(&posts); err != nil || posts != 0 {
		t.Errorf("%d posts are kept (%v), want none", posts, err)
	}
}

// A post's attempts are kept by Slack's clock, as its history has them; the pace by our own.
func TestAttemptsByTheClockOfSlack(t *testing.T) {
	s, url := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	list, err := s.Waiting(t.Context(), "C1", start, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	theirs := start.Add(-2 * time.Hour)
	p, err := s.Begin(t.Context(), "C1", Message, list, Tick{At: start, Early: theirs, Late: theirs.Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	mustSettle(t, s, p, attempt, Tick{At: start, Early: theirs.Add(time.Minute), Late: theirs.Add(time.Hour)})
	s.Close()
	s = reopen(t, url)
	open, err := s.OpenPost(t.Context(), "C1")
	if err != nil || open == nil || !open.FirstAttempt.Equal(theirs) || !open.LastAttempt.Equal(theirs.Add(time.Hour)) {
		t.Errorf("the post is %+v (%v), want attempts from %v to an hour later", open, err, theirs)
	}
	pace, err := s.Pace(t.Context(), start.Add(-time.Minute))
	if err != nil || !pace.Channels["C1"].Equal(start) {
		t.Errorf("pace = %+v, %v; want the channel at %v", pace, err, start)
	}
}

// What a dead channel holds goes aside, what is in doubt there as well.
func TestWhatIsInDoubtInADeadChannelGoesAside(t *testing.T) {
	for _, young := range []bool{false, true} {
		s, _ := openTemp(t)
		mustAdd(t, s, call("1", "C1"))
		late := call("2", "C1")
		if young {
			late.Received = start.Add(31 * 24 * time.Hour)
		}
		mustAdd(t, s, late)
		p := take(t, s, "C1", 2)
		n, err := s.SetAsideOld(t.Context(), "C1", "is_archived", start.Add(24*time.Hour), start.Add(32*24*time.Hour))
		if want := map[bool]int64{false: 2, true: 0}[young]; n != want || err != nil {
			t.Errorf("with a young one beside it %v: %d went aside (%v), want %d", young, n, err, want)
		}
		if err := s.Settle(t.Context(), p, attempt, Tick{At: start}); errors.Is(err, ErrGone) == young {
			t.Errorf("with a young one beside it %v: the next attempt %v", young, err)
		}
	}
}
