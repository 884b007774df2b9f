package outbox

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// said is a saying of a thing that has a key.
func said(key, saying string) Entry {
	e := call(key).Entry
	e.Key.Key, e.Saying, e.Body = key, saying, []byte(saying)
	return e
}

func mustSaid(t testing.TB, s *Store, key string) []Event {
	t.Helper()
	list, err := s.Said(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b Event) int { return int(a.ID - b.ID) })
	return list
}

func mustUnrouted(t testing.TB, s *Store) []int64 {
	t.Helper()
	list, err := s.Unrouted(t.Context(), 1000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestWhatIsARepeat(t *testing.T) {
	type step struct {
		Entry
		kept bool
	}
	in := func(window, after time.Duration) Entry {
		e := said("k", "")
		e.Key.Window, e.Received = window, start.Add(after)
		return e
	}
	delivered := func(key, delivery string) Entry {
		e := said(key, "")
		e.Delivery = delivery
		return e
	}
	about := func(key, about string) Entry {
		e := said(key, "")
		e.About = about
		return e
	}
	const window = 15 * time.Minute
	for name, steps := range map[string][]step{
		"by its key": {{in(0, 0), true}, {in(0, 0), false}, {in(0, 1000*time.Hour), false}, {said("other", ""), true}},
		"within a window": {
			{in(window, 0), true}, {in(window, window-time.Millisecond), false}, {in(window, window), true},
			{in(window, 2*window-time.Millisecond), false}, {in(window, 2*window), true},
		},
		"by its delivery":              {{delivered("1", "d"), true}, {delivered("2", "d"), false}, {delivered("2", "e"), true}, {delivered("2", "f"), false}},
		"no delivery is no one's":      {{delivered("1", ""), true}, {delivered("2", ""), true}},
		"a delivery is no key":         {{delivered("1", "d"), true}, {said("d", ""), true}, {delivered("e", "1"), true}},
		"what says something else":     {{said("k", "1"), true}, {said("k", "2"), true}, {said("k", "1"), false}, {said("k", "2"), false}, {said("k", "3"), true}},
		"what says nothing particular": {{said("k", "1"), true}, {said("k", ""), false}},
		"about the same":               {{about("1", "k"), true}, {about("2", "k"), true}, {about("1", "k"), false}, {said("k", ""), true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := openTemp(t)
			for range 2 { // the second time after a restart
				for i, step := range steps {
					id, duplicate, err := s.Append(t.Context(), step.Entry)
					if err != nil || duplicate == step.kept || (id != 0) != step.kept {
						t.Errorf("step %d: id %d, duplicate %v, %v; want it kept: %v", i, id, duplicate, err, step.kept)
					}
					steps[i].kept = false
				}
				s.Close()
				s = reopen(t, url)
			}
		})
	}
}

// One delivery is the same telling, whatever it is taken for.
func TestADeliveryThatSaysSomethingElseIsARepeat(t *testing.T) {
	s, _ := openTemp(t)
	e := said("k", "1")
	e.Delivery = "d"
	mustAppend(t, s, e)
	e.Saying = "2"
	if _, duplicate, err := s.Append(t.Context(), e); err != nil || !duplicate {
		t.Errorf("duplicate %v, %v; want a repeat", duplicate, err)
	}
}

func TestWhatIsSaidOfOneThing(t *testing.T) {
	s, _ := openTemp(t)
	tag := Entry{Kind: Allo, Topic: "CALL_TAGGED", Body: []byte("tag"), Received: start, Said: start.Add(-time.Minute), Key: Key{Key: "tag"}, About: "k", Recovered: true}
	// It comes before what it is about.
	want := []Event{{ID: mustAppend(t, s, tag), Kind: Allo, Topic: "CALL_TAGGED", Key: "tag", About: "k", Body: []byte("tag"), Recovered: true, New: true}}
	check := func(what string) {
		t.Helper()
		got := mustSaid(t, s, "k")
		for i := range got {
			wantSaid := start
			if got[i].Topic == "CALL_TAGGED" {
				wantSaid = tag.Said
			}
			if !got[i].Received.Equal(start) || !got[i].Said.Equal(wantSaid) {
				t.Errorf("%s: %s came at %v, said at %v; want %v, %v", what, got[i].Body, got[i].Received, got[i].Said, start, wantSaid)
			}
			got[i].Received, got[i].Said = time.Time{}, time.Time{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: said\n%+v\nwant\n%+v", what, got, want)
		}
	}
	check("before it came")
	for _, saying := range []string{"1", "2", "3"} {
		e := Event{ID: mustAppend(t, s, said("k", saying)), Kind: Allo, Topic: "CALL_RECEIVED", Key: "k", Body: []byte(saying), New: true}
		if saying != "1" {
			e.About = "k"
		}
		want = append(want, e)
		check("with the saying " + saying)
	}
	mustAppend(t, s, said("other", "1"))
	mustRoute(t, s, Routing{Event: want[1].ID, Fate: Unrouted})
	want[1].New = false
	check("after the first was routed")

	for _, key := range []string{"", "tag", "none"} {
		if list := mustSaid(t, s, key); len(list) != 0 {
			t.Errorf("said of %q: %+v, want nothing", key, list)
		}
	}
	list, err := s.Events(t.Context(), want[2].ID, 999, want[0].ID)
	if err != nil || len(list) != 2 || list[0].ID != want[2].ID || list[1].ID != want[0].ID {
		t.Errorf("events: %+v, %v; want the two that there are, in the order in which they were asked for", list, err)
	}
}

// What a key is given to anew stands for itself; what a thing was said of first is what others are about, until it is gone.
func TestWhatIsAboutTheFirstOfAKey(t *testing.T) {
	s, _ := openTemp(t)
	mustRoute(t, s, Routing{Event: mustAppend(t, s, said("k", "old")), Fate: Unrouted})
	young := said("k", "young")
	young.Received = start.Add(2 * time.Hour)
	mustAppend(t, s, young)
	mustPurge(t, s, start.Add(time.Hour), 1)
	if _, duplicate, err := s.Append(t.Context(), young); err != nil || !duplicate {
		t.Errorf("what was kept: duplicate %v, %v; want it recognised", duplicate, err)
	}
	mustAppend(t, s, said("k", "new"))
	mustAppend(t, s, said("k", "newer"))
	var got []string
	for _, e := range mustSaid(t, s, "k") {
		got = append(got, string(e.Body)+">"+e.About)
	}
	if want := []string{"young>k", "new>", "newer>k"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}

	window := said("w", "")
	window.Key.Window = time.Minute
	mustAppend(t, s, window)
	window.Received = start.Add(time.Hour)
	newer := mustAppend(t, s, window)
	if list := mustSaid(t, s, "w"); len(list) != 1 || list[0].ID != newer || list[0].About != "" {
		t.Errorf("said in the newer window: %+v, want %d alone", list, newer)
	}
}

func TestConcurrentAppends(t *testing.T) {
	s, _ := openTemp(t)
	const writers = 32
	var kept [3]atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		delivered := said("delivered "+fmt.Sprint(w), "")
		delivered.Delivery = "d"
		for i, e := range []Entry{said("same", ""), delivered, said("k", fmt.Sprint(w))} {
			group.Go(func() {
				_, duplicate, err := s.Append(context.Background(), e)
				if err != nil {
					t.Error(err)
				}
				if !duplicate {
					kept[i].Add(1)
				}
			})
		}
	}
	group.Wait()
	for i, want := range []int64{1, 1, writers} {
		if got := kept[i].Load(); got != want {
			t.Errorf("%s: %d were kept, want %d", []string{"of one key", "of one delivery", "that say different things"}[i], got, want)
		}
	}
	list, firsts := mustSaid(t, s, "k"), 0
	for _, e := range list {
		if e.About == "" {
			firsts++
		}
	}
	if len(list) != writers || firsts != 1 {
		t.Errorf("%d sayings were kept, %d of them as the first; want %d and one", len(list), firsts, writers)
	}
}

func TestAnAppendIsTwoStatements(t *testing.T) {
	s, _ := openTemp(t)
	var before []string
	for query := range s.writer.stmts {
		before = append(before, query)
	}
	for _, saying := range []string{"", "1", "2", "1"} {
		e := said("k", saying)
		e.Delivery, e.About = "d"+saying, "x"
		e.Key.Window = time.Minute
		if _, _, err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for query := range s.writer.stmts {
		if !slices.Contains(before, query) && query != "COMMIT" && !strings.HasPrefix(query, "BEGIN") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d statements, want two", n)
	}
}

func TestWhatIsUnrouted(t *testing.T) {
	s, url := openTemp(t)
	var want []int64
	for i := range 5 {
		e := call(fmt.Sprint(i)).Entry
		e.Body = []byte(strings.Repeat("x", 100))
		e.Received = start.Add(-time.Duration(i) * time.Hour) // the order is that of coming in
		want = append(want, mustAppend(t, s, e))
	}
	s.Close()
	s = reopen(t, url)
	if got := mustUnrouted(t, s); !slices.Equal(got, want) {
		t.Errorf("unrouted: %v, want %v", got, want)
	}
	for _, c := range []struct{ limit, bytes, want int }{{3, 1 << 20, 3}, {10, 250, 3}, {10, 199, 2}, {10, 0, 1}, {0, 1 << 20, 0}} {
		list, err := s.Unrouted(t.Context(), c.limit, c.bytes)
		if err != nil || len(list) != c.want {
			t.Errorf("at most %d, of %d bytes: %d, %v; want %d", c.limit, c.bytes, len(list), err, c.want)
		}
		for i, e := range list {
			if e.ID != want[i] || !e.New {
				t.Errorf("%d: %+v, want %d", i, e, want[i])
			}
		}
	}
	for i, fate := range []EventFate{Routed, Muted, Unrouted, Amended, Duplicate} {
		mustRoute(t, s, Routing{Event: want[i], Fate: fate})
		if got := mustUnrouted(t, s); !slices.Equal(got, want[i+1:]) {
			t.Errorf("unrouted after one is %s: %v, want %v", fate, got, want[i+1:])
		}
	}
}

func TestMarked(t *testing.T) {
	s, _ := openTemp(t)
	marked := func(id, mark string, after time.Duration) int64 {
		e := call(id)
		e.Marks = []Mark{{Mark: mark, At: start.Add(after)}, {Mark: "all", At: start.Add(after)}}
		return mustAdd(t, s, e).ID
	}
	late := marked("late", "a", time.Hour)
	early := marked("early", "a", -time.Hour)
	now, beside := marked("now", "a", 0), marked("beside", "a", 0)
	other := marked("other", "b", 0)
	for _, c := range []struct {
		name     string
		mark     string
		from, to time.Duration
		limit    int
		want     []int64
	}{
		{"in the order in which they happened", "a", -24 * time.Hour, 24 * time.Hour, 10, []int64{early, now, beside, late}},
		{"the bounds are within", "a", -time.Hour, 0, 10, []int64{early, now, beside}},
		{"what is outside isn't", "a", -time.Hour + time.Millisecond, time.Hour - time.Millisecond, 10, []int64{now, beside}},
		{"at most", "a", -24 * time.Hour, 24 * time.Hour, 2, []int64{early, now}},
		{"another mark", "b", -24 * time.Hour, 24 * time.Hour, 10, []int64{other}},
		{"no mark", "c", -24 * time.Hour, 24 * time.Hour, 10, nil},
		{"each of its marks", "all", 0, 0, 10, []int64{now, beside, other}},
	} {
		list, err := s.Marked(t.Context(), c.mark, start.Add(c.from), start.Add(c.to), c.limit)
		var got []int64
		for _, m := range list {
			got = append(got, m.Event)
			if at := map[int64]time.Duration{late: time.Hour, early: -time.Hour}[m.Event]; m.Mark != c.mark || !m.At.Equal(start.Add(at)) {
				t.Errorf("%s: %+v, want it at %v", c.name, m, start.Add(at))
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestMarksAreThoseOfByNow(t *testing.T) {
	s, _ := openTemp(t)
	e := call("1")
	e.Marks = []Mark{{Mark: "a", At: start}, {Mark: "a", At: start}}
	id := mustAdd(t, s, e).ID
	for _, step := range []struct {
		name string
		Decision
		a, b int
	}{
		{"as it was routed", Decision{Marks: e.Marks}, 1, 0},
		{"news", Decision{Marks: []Mark{{Mark: "b", At: start}, {Mark: "b", At: start.Add(time.Second)}}}, 0, 2},
		{"none any more", Decision{}, 0, 0},
	} {
		step.Decision.Event = id
		mustDecide(t, s, step.Decision)
		for mark, want := range map[string]int{"a": step.a, "b": step.b} {
			if list, err := s.Marked(t.Context(), mark, start, start.Add(time.Hour), 10); err != nil || len(list) != want {
				t.Errorf("%s: %d have %s (%v), want %d", step.name, len(list), mark, err, want)
			}
		}
	}
}
