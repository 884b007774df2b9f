package outbox

import (
	"strings"
	"testing"
	"time"
)

// text is a text of a conversation, so long after start.
func text(id, conversation string, after time.Duration) given {
	e := call(id, "C1")
	e.Received = start.Add(after)
	e.Thread = Thread{Key: conversation, Window: 7 * 24 * time.Hour}
	return e
}

// post begins a post with the oldest n of C1 and says that Slack has it.
func post(t testing.TB, s *Store, n int, after time.Duration, shown Shown) *Post {
	t.Helper()
	list, err := s.Waiting(t.Context(), "C1", start.Add(after), n, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	form := Message
	if n > 1 {
		form = Digest
	}
	p, err := s.Begin(t.Context(), "C1", form, list, Tick{At: start.Add(after)})
	if err != nil || p == nil {
		t.Fatalf("begin: %v, %v", p, err)
	}
	if shown.TS == "" {
		return p
	}
	shown.Thread = p.Thread
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: shown}, Tick{At: start.Add(after)})
	return p
}

func TestAConversationIsOneThreadUntilItIsSilent(t *testing.T) {
	const day = 24 * time.Hour
	s, url := openTemp(t)
	for _, step := range []struct {
		name, conversation string
		after              time.Duration
		ts, want           string
	}{
		{"first", "a", 0, "1.0", ""},
		{"another conversation", "b", time.Hour, "2.0", ""},
		{"reply", "a", 2 * time.Hour, "3.0", "1.0"},
		{"six days later", "a", 6*day + 3*time.Hour, "4.0", "1.0"},
		{"six days after that", "a", 12*day + 3*time.Hour, "5.0", "1.0"},
		{"after eight silent days", "a", 20*day + 4*time.Hour, "6.0", ""},
		{"in the new thread", "a", 21 * day, "7.0", "6.0"},
	} {
		mustAdd(t, s, text(step.name, step.conversation, step.after))
		if got := post(t, s, 1, step.after, Shown{TS: step.ts}); got.Thread != step.want {
			t.Errorf("%s: thread = %q, want %q", step.name, got.Thread, step.want)
		}
		s.Close()
		s = reopen(t, url) // a thread outlives the process
	}
}

func TestDigestsAndThreads(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, text("1", "a", 0))
	post(t, s, 1, 0, Shown{TS: "1.0"})

	mustAdd(t, s, text("2", "a", time.Minute))
	mustAdd(t, s, text("3", "a", time.Minute))
	if got := post(t, s, 2, time.Minute, Shown{TS: "2.0"}); got.Thread != "1.0" {
		t.Errorf("a digest of one thread: thread = %q, want 1.0", got.Thread)
	}
	mustAdd(t, s, text("4", "a", 2*time.Minute))
	mustAdd(t, s, text("5", "b", 2*time.Minute))
	if got := post(t, s, 2, 2*time.Minute, Shown{TS: "3.0"}); got.Thread != "" {
		t.Errorf("a digest of two threads: thread = %q, want the top", got.Thread)
	}
	mustAdd(t, s, text("6", "b", 3*time.Minute))
	if got := post(t, s, 1, 3*time.Minute, Shown{TS: "4.0"}); got.Thread != "" {
		t.Errorf("after a digest: thread = %q; a digest opens none", got.Thread)
	}
}

func TestAThreadThatTakesNoRepliesIsLeft(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, text("1", "a", 0))
	post(t, s, 1, 0, Shown{TS: "1.0"})
	mustAdd(t, s, text("2", "a", time.Minute))
	p := post(t, s, 1, time.Minute, Shown{})
	mustSettle(t, s, p, Transition{Top: true}, Tick{})
	open, err := s.OpenPost(t.Context(), "C1")
	if err != nil || open.Thread != "" || open.ID != p.ID {
		t.Fatalf("open post = %+v, %v; want the same post at the top", open, err)
	}
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "2.0"}}, Tick{At: start.Add(time.Minute)})
	mustAdd(t, s, text("3", "a", 2*time.Minute))
	if got := post(t, s, 1, 2*time.Minute, Shown{TS: "3.0"}); got.Thread != "2.0" {
		t.Errorf("thread = %q, want the new one, 2.0", got.Thread)
	}
}

func TestPartsFollowBehindEvents(t *testing.T) {
	s, url := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	mustAdd(t, s, call("2", "C1"))
	post(t, s, 1, 0, Shown{TS: "1.0", Parts: 2})
	s.Close()
	s = reopen(t, url)
	mustAdd(t, s, call("3", "C1"))
	var got []string
	for range 4 {
		p := post(t, s, 1, time.Minute, Shown{TS: "9.0"})
		d := p.Deliveries[0]
		got = append(got, strings.TrimPrefix(strings.TrimSuffix(string(d.Body), `"}`), `{"id":"`)+"/"+string(rune('0'+d.Part))+" in "+p.Thread)
	}
	want := "2/0 in |3/0 in |1/1 in 1.0|1/2 in 1.0"
	if strings.Join(got, "|") != want {
		t.Errorf("posted %q, want %q", strings.Join(got, "|"), want)
	}
}

// chain is a call of a chain that the first message of it tells of.
func chain(id string, after time.Duration) given {
	e := text(id, "call:1", after)
	e.Thread, e.Retold = Thread{Key: "call:1"}, "call:1"
	e.Marks = []Mark{{Mark: "call:1", At: e.Received}}
	return e
}

func updates(t testing.TB, s *Store) []Update {
	t.Helper()
	list, err := s.Updates(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatJoinsAThreadIsToldInItsFirstMessage(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, chain("1", 0))
	first := post(t, s, 1, 0, Shown{TS: "1.0"})
	if got := updates(t, s); len(got) != 0 {
		t.Fatalf("updates = %v before anything is new", got)
	}
	if added := mustAdd(t, s, chain("2", time.Minute)); !added.Updates {
		t.Error("the first message was not said to have something new")
	}
	got := updates(t, s)
	if len(got) != 1 || got[0].Post != first.ID {
		t.Fatalf("updates = %v, want one of %s", got, first.ID)
	}
	mustAdd(t, s, chain("3", 2*time.Minute)) // while the update is on its way
	if err := s.Updated(t.Context(), got[0], nil, 0, start); err != nil {
		t.Fatal(err)
	}
	got = updates(t, s)
	if len(got) != 1 {
		t.Fatal("what became new while it was told was forgotten")
	}
	if err := s.Updated(t.Context(), got[0], nil, 0, start); err != nil {
		t.Fatal(err)
	}
	if got := updates(t, s); len(got) != 0 {
		t.Errorf("updates = %v after all was told", got)
	}
	list, err := s.Marked(t.Context(), "call:1", start, start.Add(time.Hour), 10)
	if err != nil || len(list) != 3 {
		t.Errorf("in the thread: %v, %v; want 3", list, err)
	}
}

func TestWhatJoinsWhileTheFirstMessageIsOnItsWay(t *testing.T) {
	s, _ := openTemp(t)
	mustAdd(t, s, chain("1", 0))
	p := post(t, s, 1, time.Second, Shown{})
	mustAdd(t, s, chain("2", 2*time.Second))
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start.Add(3 * time.Second)})
	if got := updates(t, s); len(got) != 1 {
		t.Errorf("updates = %v, want one", got)
	}
}

func TestTheStateBeforeIsKeptWithTheEvent(t *testing.T) {
	s, _ := openTemp(t)
	for i, state := range []string{"A", "B", "C"} {
		mustAdd(t, s, given{Entry: Entry{Kind: Allo, Topic: "CONTACT_UPDATED", Body: []byte(state), Received: start.Add(time.Duration(i) * time.Hour), Key: Key{Key: "u" + state, Window: time.Minute}},
			Decision: Decision{Routes: routes("C1")}, Subject: Subject{"contact:1", state, true}})
	}
	list, err := s.Waiting(t.Context(), "C1", start, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, d := range list {
		got += string(d.Before) + ">" + string(d.Body) + " "
	}
	if got != ">A A>B B>C " || list[0].Before != nil {
		t.Errorf("before > after: %q", got)
	}
}
