package notify

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// router is the router of a bot that is open and doesn't run.
func (r *rig) router() *router {
	return &router{store: r.store, rules: r.bot.rules.Load, metrics: r.bot.metrics, log: r.bot.log, wake: r.bot.wake, updates: r.bot.updates, later: map[int64]time.Time{}}
}

// route routes what was appended, and fails the test where that can't be done.
func (r *rig) route() {
	r.t.Helper()
	router := r.router()
	for range 10 {
		if _, err := router.once(r.t.Context(), time.Now()); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// sql changes the store behind the bot's back.
func (r *rig) sql(query string) {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path)
	if err == nil {
		_, err = db.Exec(query)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// unrouted is how many events are not routed.
func (r *rig) unrouted() int {
	r.t.Helper()
	list, err := r.store.Unrouted(r.t.Context(), 100, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// What is wrong with one event, or with what is stored of it, holds no other up.
func TestABadEventHoldsNoOtherUp(t *testing.T) {
	big := strings.Repeat("x", 9<<20)
	for name, c := range map[string]struct {
		bad  func(r *rig)
		left int // events that stay, to be tried again
	}{
		"options that can't be read": {func(r *rig) {
			r.calls("", 1, 1)
			r.route()
			r.sql(`UPDATE deliveries SET options = 'x'`)
			r.accept(tagEvent("tag.added", 1, "Billing", 1))
		}, 0},
		"an envelope that can't be read": {func(r *rig) {
			r.append(outbox.Allo, "CALL_RECEIVED", "x")
			r.append(outbox.Allo, "tag.added", "x")
		}, 0},
		"a kind of a newer version": {func(r *rig) { r.append("click", "take", `{"x":1}`) }, 1},
		"large ones that the store doesn't take": {func(r *rig) {
			r.sql(`CREATE TRIGGER poison BEFORE UPDATE OF routed ON events WHEN length(NEW.body) > 1000000 BEGIN SELECT RAISE(ABORT, 'poison'); END`)
			for n := 1; n <= 2; n++ {
				r.accept(strings.Replace(aCall(n, ""), `"data":{`, `"data":{"odd":"`+big+`",`, 1))
			}
		}, 2},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, toSupport, "support")
			r.open()
			c.bad(r)
			r.calls("", 3, 6)
			r.route()
			if got := r.unrouted(); got != c.left {
				t.Errorf("%d events are not routed, want %d", got, c.left)
			}
			r.run()
			pass(10 * time.Second)
			for n := 3; n <= 6; n++ {
				if !strings.Contains(fmt.Sprint(r.cases("support")), fmt.Sprint(n)) {
					t.Errorf("#support shows %v, want %d", r.cases("support"), n)
				}
			}
		})
	}
}

// append appends what no webhook would take.
func (r *rig) append(kind, topic, body string) {
	r.t.Helper()
	if _, _, err := r.store.Append(r.t.Context(), outbox.Entry{Kind: kind, Topic: topic, Body: []byte(body), Received: time.Now(), Key: outbox.Key{Key: kind + topic + body}}); err != nil {
		r.t.Fatal(err)
	}
}

// A call that a rule mutes for what came to be said of it last goes nowhere, in whatever order that came, if nothing was
// posted by then.
func TestAMutedCallInAnyOrder(t *testing.T) {
	said := map[string]string{
		"call": strings.Replace(aCall(1, ""), `{"topic":"CALL_RECEIVED",`, `{"topic":"call.completed","version":"2.0","timestamp":"2000-01-01T00:00:01Z",`, 1),
		"vip":  tagEvent("tag.added", 1, "vip", 2), "spam": tagEvent("tag.added", 1, "spam", 3),
	}
	for _, order := range []string{"call vip spam", "call spam vip", "vip spam call", "spam call vip", "spam vip call", "vip call spam"} {
		bubbleIn(t, order, func(t *testing.T) {
			r := newRig(t, `rules:
  - {name: spam, match: {tag: spam}, mute: true}
  - {name: vip, match: {tag: vip}, channel: "#vip"}
  - {name: all, match: {}, channel: "#support"}`, "support", "vip")
			r.open()
			for _, one := range strings.Fields(order) {
				r.accept(said[one])
				r.route()
			}
			r.run()
			pass(time.Minute)
			if a, b := r.cases("support"), r.cases("vip"); len(a)+len(b) > 0 {
				t.Errorf("#support shows %v, #vip %v; want nothing: the call is muted", a, b)
			}
		})
	}
}

// Whether rules are asked again counts from when a tag came, not from when it is routed.
func TestATagThatIsRoutedLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, billingByTag, "phone", "billing")
		r.open()
		r.accept(aCall(1, ""))
		r.route()
		time.Sleep(23*time.Hour + 55*time.Minute)
		r.accept(strings.Replace(tagEvent("tag.added", 1, "Billing", 1), "2000-01-01T00:00:01Z", time.Now().UTC().Format(time.RFC3339), 1))
		time.Sleep(10 * time.Minute)
		r.run()
		pass(time.Minute)
		r.posted("billing", 1)
	})
}

// A tag that comes while a post is in doubt is shown, whether or not the channel is read back after the next start.
func TestATagThatComesInDoubt(t *testing.T) {
	for _, down := range []time.Duration{20 * time.Second, 40 * time.Second} {
		bubbleIn(t, down.String(), func(t *testing.T) {
			r := newRig(t, toSupport, "support")
			slack := r.slack.API()
			hangs := false
			r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				posting := strings.HasSuffix(req.URL.Path, "chat.postMessage") && hangs
				slack.ServeHTTP(w, req)
				if posting {
					<-time.After(time.Minute)
					panic(http.ErrAbortHandler)
				}
			})
			r.start()
			pass(time.Minute)
			hangs = true
			r.calls("", 1, 1)
			pass(time.Millisecond)
			r.accept(tagEvent("tag.added", 1, "Billing", 59))
			pass(time.Second)
			r.crash()
			hangs = false
			time.Sleep(down)
			r.start()
			pass(2 * time.Minute)
			if p := r.posted("support", 1)[0]; !strings.Contains(p.Text, "tag Billing") {
				t.Errorf("it says %s, want the tag", p.Text)
			}
		})
	}
}

// A private channel can't be read until somebody invites the bot: then it is read before anything is posted there.
func TestAChannelThatIsReadBackOnceItCanBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		copied := r.path + ".copy"
		r.sql(`VACUUM INTO '` + copied + `'`)
		r.calls("", 1, 3)
		pass(time.Minute)
		r.stop()
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Private, c.BotIsMember = true, false })
		r.path = copied
		r.start()
		r.calls("", 1, 3)
		pass(10 * time.Minute)
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.BotIsMember = true })
		pass(5 * time.Minute)
		r.wantCases("support", 1, 3, time.Second)
	})
}
