package outbox

import (
	"strings"
	"testing"
	"time"
)

// text is a text of a conversation, so long after start.
func text(id, conversation string, after time.Duration) Entry {
	e := call(id, "C1")
	e.Received, e.Happened = start.Add(after), start.Add(after)
	e.Thread = Thread{Key: conversation, Window: 7 * 24 * time.Hour}
	return e
}

// post begins a post with the oldest n of C1 and says that Slack has it.
func post(t testing.TB, s *Store, n int, after time.Duration, shown Shown) *Post {
	t.Helper()
	list, err := s.Waiting(t.Context(), "C1", n, 1<<30)
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

func updates(t testing.TB, s *Store) []Update {
	t.Helper()
	list, err := s.Updates(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatJoinsAThreadIsToldInItsFirstMessage(t *testing.T) {
	chain := func(id string, after time.Duration) Entry {
		e := text(id, "call:1", after)
		e.Thread = Thread{Key: "call:1", Retell: true}
		return e
	}
	s, _ := openTemp(t)
	mustAdd(t, s, chain("1", 0))
	first := post(t, s, 1, 0, Shown{TS: "1.0", Retell: true})
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
	if err := s.Told(t.Context(), got[0]); err != nil {
		t.Fatal(err)
	}
	got = updates(t, s)
	if len(got) != 1 {
		t.Fatal("what became new while it was told was forgotten")
	}
	if err := s.Told(t.Context(), got[0]); err != nil {
		t.Fatal(err)
	}
	if got := updates(t, s); len(got) != 0 {
		t.Errorf("updates = %v after all was told", got)
	}
	bodies, err := s.InThread(t.Context(), "call:1", 10)
	if err != nil || len(bodies) != 3 {
		t.Errorf("in the thread: %q, %v; want 3", bodies, err)
	}
}

func TestWhatJoinsWhileTheFirstMessageIsOnItsWay(t *testing.T) {
	s, _ := openTemp(t)
	first := text("1", "call:1", 0)
	first.Thread.Retell = true
	mustAdd(t, s, first)
	p := post(t, s, 1, time.Second, Shown{})
	second := text("2", "call:1", 2*time.Second)
	second.Thread.Retell = true
	mustAdd(t, s, second)
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0", Retell: true}}, Tick{At: start.Add(3 * time.Second)})
	if got := updates(t, s); len(got) != 1 {
		t.Errorf("updates = %v, want one", got)
	}
}

func TestAnswers(t *testing.T) {
	asking := func(id string, after time.Duration) Entry {
		e := call(id, "C1")
		e.Received, e.Happened, e.Asks = start.Add(after), start.Add(after), "4155550100"
		return e
	}
	answering := func(id string, after time.Duration) Entry {
		e := call(id)
		e.Received, e.Happened, e.Answers = start.Add(after), start.Add(after), "4155550100"
		return e
	}
	for _, step := range []struct {
		name   string
		events []Entry
		want   string // what answered the event "missed"
	}{
		{"called back", []Entry{asking("missed", 0), answering("back", time.Minute)}, "back"},
		{"the first answer counts", []Entry{asking("missed", 0), answering("back", time.Minute), answering("again", time.Hour)}, "back"},
		{"the answer's event came first", []Entry{answering("back", time.Minute), asking("missed", 0)}, "back"},
		{"a call before it is no answer", []Entry{answering("before", -time.Minute), asking("missed", 0)}, ""},
		{"a late event of a call before it is none either", []Entry{asking("missed", 0), answering("before", -time.Minute)}, ""},
		{"too long after", []Entry{asking("missed", 0), answering("late", AnswerWindow+time.Minute)}, ""},
		{"somebody else", []Entry{asking("missed", 0), func() Entry { e := answering("other", time.Minute); e.Answers = "1"; return e }()}, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			s, _ := openTemp(t)
			told := false
			for _, e := range step.events {
				told = mustAdd(t, s, e).Updates || told
				if e.Asks != "" {
					post(t, s, 1, 0, Shown{TS: "1.0"})
				}
			}
			after := step.events[len(step.events)-1].Answers != "" && step.want != ""
			if told != after || (len(updates(t, s)) == 1) != after {
				t.Errorf("told = %v, updates = %v; want %v", told, updates(t, s), after)
			}
			var id string
			if err := s.db.QueryRow(`SELECT id FROM posts`).Scan(&id); err != nil {
				t.Fatal(err)
			}
			p, err := s.SentPost(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if step.want != "" {
				want = `{"id":"` + step.want + `"}`
			}
			if got := string(p.Deliveries[0].Answer); got != want {
				t.Errorf("answer = %s, want %s", got, want)
			}
		})
	}
}

func TestTheStateBeforeIsKeptWithTheEvent(t *testing.T) {
	s, _ := openTemp(t)
	for i, state := range []string{"A", "B", "C"} {
		mustAdd(t, s, Entry{Kind: Allo, Topic: "CONTACT_UPDATED", Body: []byte(state), Received: start.Add(time.Duration(i) * time.Hour),
			Subject: "contact:1", State: state, Change: true, Keys: []Key{{Key: "u" + state, Window: time.Minute}},
			Deliveries: []Route{{Channel: "C1", Options: "{}"}}})
	}
	list, err := s.Waiting(t.Context(), "C1", 10, 1<<20)
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
