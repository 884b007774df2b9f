package outbox

import (
	"context"
	"reflect"
	"testing"
	"time"
)

// replayNow requests that deliveries are sent again, and carries it out.
func replayNow(ctx context.Context, s *Store, sel Selection, now time.Time) (Replayed, error) {
	request, err := s.Request(ctx, sel, now)
	if err != nil {
		return Replayed{}, err
	}
	return s.CarryOut(ctx, request, now)
}

// What a person asks for is carried out once, however often that is tried, also after a crash.
func TestARequestIsCarriedOutOnce(t *testing.T) {
	s, url := openTemp(t)
	mustAdd(t, s, call("1", "C1"))
	mustSettle(t, s, post(t, s, 1, 0, Shown{}), Transition{Fate: Aside, Reason: "no"}, Tick{At: start})
	beside, err := OpenBeside(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if mine, err := beside.Take(); err != nil || mine {
		t.Fatalf("a store that a bot has open was taken: %v, %v", mine, err)
	}
	id, err := beside.Request(t.Context(), Selection{All: true, To: "C2"}, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, carriedOut, err := beside.Answer(t.Context(), id); err != nil || carriedOut {
		t.Errorf("carried out before anybody did: %v, %v", carriedOut, err)
	}
	s.Close()
	s = reopen(t, url)
	list, err := s.Unrouted(t.Context(), 10, 1<<20)
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Kind != Asked {
		t.Fatalf("unrouted: %+v, want the request", list)
	}
	want := Replayed{Sent: 1, Channels: []string{"C2"}}
	for i := range 2 {
		if done, err := s.CarryOut(t.Context(), id, start); err != nil || i == 0 && !reflect.DeepEqual(done, want) || i == 1 && done.Sent != 0 {
			t.Errorf("time %d: %+v, %v", i+1, done, err)
		}
	}
	if done, carriedOut, err := beside.Answer(t.Context(), id); err != nil || !carriedOut || !reflect.DeepEqual(done, want) {
		t.Errorf("answer: %+v, %v, %v; want %+v", done, carriedOut, err, want)
	}
	if got, want := states(t, s, 1), "C1 moved, C2 waiting"; got != want {
		t.Errorf("it is in %s, want %s", got, want)
	}
	s.Close()
	if mine, err := beside.Take(); err != nil || !mine {
		t.Errorf("a store that no bot has open was not taken: %v, %v", mine, err)
	}
}
