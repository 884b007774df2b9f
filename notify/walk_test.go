package notify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// walkRules have a channel of texts and calls, one of calls, and one that mentions.
const walkRules = `rules:
  - {name: texts, match: {topic: [SMS_RECEIVED, SMS_SENT]}, channel: "#a"}
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: b, match: {tag: b}, channel: "#b"}
  - {name: c, match: {tag: c}, channel: "#c", mention: owner}`

// bad is what a post may meet in a walk, and what a call of any method may meet. None is taken so late that it is posted
// again, as the contract allows.
func bad(random *rand.Rand) fakeslack.Fault {
	posts := []fakeslack.Fault{{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.LateVisible, Delay: upTo(random, 4*time.Second)}, {Kind: fakeslack.StatusAfterAccept}, {Kind: fakeslack.NoTS},
		{Kind: fakeslack.HalfAnswer}, {Code: "invalid_blocks"}, {Code: "msg_too_long"}, {Code: "cannot_reply_to_message"}, {Code: "restricted_action_thread_locked"}, {Code: "is_archived"}}
	anyCall := []fakeslack.Fault{{Kind: fakeslack.CutBefore}, {Kind: fakeslack.Empty}, {Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.Status, Status: 403}, {Code: "internal_error"},
		{Code: "moon_in_the_way"}, {Code: "token_revoked"}, {Kind: fakeslack.Slow, Delay: upTo(random, 4*time.Second)}, {Kind: fakeslack.RateLimit, RetryAfter: upTo(random, 40*time.Second)}}
	methods := []string{"*", "chat.postMessage", "chat.update", "conversations.history", "conversations.replies", "conversations.list", "conversations.info", "users.lookupByEmail", "auth.test"}
	f := posts[random.IntN(len(posts))]
	if random.IntN(2) == 0 {
		f = anyCall[random.IntN(len(anyCall))]
		f.Method = methods[random.IntN(len(methods))]
	}
	f.Count = []int{1, 1, 3, 20, -1}[random.IntN(5)]
	return f
}

// TestWalks has Slack misbehave, channels close, and the bot crash and stop, in any order. What was accepted is shown once and
// in its order, or was set aside and is shown once it is sent again.
func TestWalks(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		bubbleIn(t, fmt.Sprint("seed ", seed), func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func walk(t *testing.T, random *rand.Rand) {
	r := newRigWith(t, walkRules, fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "a"}, {Name: "b"}, {Name: "c"}},
		Users: []fakeslack.User{{ID: "U0P", Email: "p1@example.com"}}}).start()
	accepted := map[string][]int{}
	n, refused, crashed := 0, false, false
	add := func(channel, body string) {
		r.accept(body)
		accepted[channel] = append(accepted[channel], n)
	}
	begin := func() {
		pass([]time.Duration{0, upTo(random, 70*time.Second)}[random.IntN(2)])
		r.open()
		r.wire.Refuse(refused)
		r.run()
	}
	for range 40 {
		channel := string("abc"[random.IntN(3)])
		switch random.IntN(14) {
		case 0, 1, 2:
			for range 1 + random.IntN(9) {
				n++
				add(channel, strings.Replace(aCall(n, channel), `"id":`, fmt.Sprintf(`"user_email":"p%d@example.com","id":`, n%3), 1))
			}
		case 3, 4:
			n++
			add("a", aText(n, []string{"INBOUND", "OUTBOUND"}[random.IntN(2)], customerNo, fmt.Sprint("case ", n)))
		case 5, 6, 7:
			r.slack.Fault(bad(random))
		case 8:
			r.slack.ClearFaults()
		case 9:
			refused = !refused
			r.wire.Refuse(refused)
		case 10:
			r.slack.SetChannel(channel, func(c *fakeslack.Channel) { c.Archived = !c.Archived })
		case 11:
			crashed = true
			r.crash()
			begin()
		case 12:
			if took := r.stopNow(); took > grace+time.Second {
				t.Errorf("a stop took %v", took)
			}
			begin()
		default:
			pass(upTo(random, 90*time.Second))
		}
	}
	r.slack.ClearFaults()
	r.wire.Refuse(false)
	for name := range accepted {
		r.slack.SetChannel(name, func(c *fakeslack.Channel) { c.Archived = false })
	}
	pass(time.Hour)
	aside := len(r.failed())
	if _, err := replay(t.Context(), r.store, outbox.Selection{All: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if aside > 0 {
		pass(20 * time.Minute)
	}
	for name, want := range accepted {
		got := r.cases(name)
		if slices.Sort(want); aside > 0 {
			slices.Sort(got) // what was sent again comes last
		}
		if !slices.Equal(got, want) {
			t.Errorf("#%s shows %v, want %v once each, of which %d were sent again", name, got, want, aside)
		}
	}
	if waiting := r.count("allo_slack_deliveries_waiting", ""); waiting != 0 || len(r.failed()) != 0 {
		t.Errorf("%v wait, and %v were set aside", waiting, r.failed())
	}
	if over := r.slack.RateLimited(); over != 0 && !crashed {
		t.Errorf("%d calls were over the pace", over)
	}
	for _, words := range []string{"can't be worked with", "could not be stored", "could not be cleared", "can't be made", "panic"} {
		if strings.Contains(r.log.String(), words) {
			t.Errorf("the log says %q", words)
		}
	}
}

func upTo(random *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(d)))
}
