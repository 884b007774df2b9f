package notify

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// badCase puts somebody before Slack who refuses the messages that hold one of the cases: with blocks only, or in any
// form.
func (r *rig) badCase(withBlocksOnly bool, cases ...int) {
	slack := r.slack.API()
	r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		form, _ := url.ParseQuery(string(body))
		held := casesOf(fakeslack.Post{Text: form.Get("text"), Blocks: []byte(form.Get("blocks"))})
		if strings.HasSuffix(req.URL.Path, "/chat.postMessage") && (form.Get("blocks") != "" || !withBlocksOnly) &&
			slices.ContainsFunc(cases, func(n int) bool { return slices.Contains(held, n) }) {
			_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] no [json-pointer:/blocks/1]"]}}`)
			return
		}
		slack.ServeHTTP(w, req)
	})
}

func TestARefusedMessageGoesAsPlainText(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.badCase(true, 1)
		r.start()
		r.calls("", 1, 2)
		r.wantCases("support", 1, 2, 5*time.Second)
		r.gaps("support")
		posts := r.slack.Posts("support")
		if len(posts) != 2 || posts[0].Blocks != nil || posts[0].Text == "" || posts[1].Blocks == nil {
			t.Errorf("got %+v, want the first as text, the second with blocks", posts)
		}
		if got := r.count("allo_slack_deliveries_set_aside_total", ""); got != 0 {
			t.Errorf("%v were set aside, want 0", got)
		}
	})
}

func TestAMessageThatIsRefusedInAnyFormIsSetAside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.badCase(false, 1)
		r.start()
		r.calls("", 1, 3)
		r.wantCases("support", 2, 3, 10*time.Second)
		r.wantAside(1)
		if log := r.log.String(); !strings.Contains(log, "invalid_blocks: [ERROR] no [json-pointer:/blocks/1]") {
			t.Error("the log doesn't say why")
		}
	})
}

// wantAside fails unless these events are set aside, with Slack's reason.
func (r *rig) wantAside(events ...int64) {
	r.t.Helper()
	failed, err := r.store.Failed(r.t.Context(), time.Time{}, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	var got []int64
	for _, f := range failed {
		if !f.Aside || f.Channel != "#support" || f.Rule != "all" || f.Reason == "" {
			r.t.Errorf("got %+v, want one that was set aside in #support, with a reason", f)
		}
		got = append(got, f.Event)
	}
	if !slices.Equal(got, events) {
		r.t.Errorf("set aside are %v, want %v", got, events)
	}
	if n := r.count("allo_slack_deliveries_set_aside_total", ""); n != float64(len(events)) {
		r.t.Errorf("%v were counted as set aside, want %d", n, len(events))
	}
	if n := r.count("allo_slack_deliveries_aside", ""); n != float64(len(events)) {
		r.t.Errorf("%v are told to be set aside, want %d", n, len(events))
	}
}

// A digest is split: one bad event keeps no other from being shown, or from its place.
func TestARefusedDigest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.badCase(false, 3)
		r.open()
		r.calls("", 1, 6)
		r.run()
		pass(time.Second)
		r.calls("", 7, 12) // behind those that go alone
		pass(time.Minute)
		if got, want := r.cases("support"), []int{1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12}; !slices.Equal(got, want) {
			t.Errorf("#support shows %v, want %v", got, want)
		}
		var sizes []int
		for _, p := range r.slack.Posts("support") {
			sizes = append(sizes, len(casesOf(p)))
		}
		if want := []int{1, 1, 1, 1, 1, 6}; !slices.Equal(sizes, want) {
			t.Errorf("messages with %v events, want %v", sizes, want)
		}
		r.wantAside(3)
		r.gaps("support")
		r.polite()
	})
}

// What Slack refuses with an error that this program doesn't know is tried for a while, then set aside.
func TestAnUnknownErrorIsNotTriedForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.slack.Fault(fakeslack.Fault{Code: "nobody_knows_this_one", Count: unknownMost})
		r.calls("", 1, 2)
		r.wantCases("support", 2, 2, time.Hour)
		r.wantAside(1)
		if n := len(r.slack.Calls("chat.postMessage")); n != unknownMost+1 {
			t.Errorf("%d attempts, want %d", n, unknownMost+1)
		}
	})
}

// A channel that refuses everything keeps its queue, is tried each minute, and goes on in order once it is mended.
func TestAChannelThatRefuses(t *testing.T) {
	set := func(change func(*fakeslack.Channel)) func(*fakeslack.Server) {
		return func(s *fakeslack.Server) { s.SetChannel("support", change) }
	}
	for _, c := range []struct {
		name         string
		breaks, mend func(*fakeslack.Server)
		code         string
	}{
		{"archived", set(func(c *fakeslack.Channel) { c.Archived = true }), set(func(c *fakeslack.Channel) { c.Archived = false }), "is_archived"},
		{"the bot was removed and may not join", func(s *fakeslack.Server) {
			s.SetChannel("support", func(c *fakeslack.Channel) { c.BotIsMember = false })
			s.Fault(fakeslack.Fault{Method: "conversations.join", Code: "method_not_supported_for_channel_type", Count: -1})
		}, set(func(c *fakeslack.Channel) { c.BotIsMember = true }), "not_in_channel"},
		{"made private", set(func(c *fakeslack.Channel) { c.Private, c.BotIsMember = true, false }), set(func(c *fakeslack.Channel) { c.BotIsMember = true }), "channel_not_found"},
		{"nobody may post", func(s *fakeslack.Server) { s.Fault(fakeslack.Fault{Code: "restricted_action", Count: -1}) }, (*fakeslack.Server).ClearFaults, "restricted_action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.calls("", 1, 1)
				r.wantCases("support", 1, 1, time.Second)
				c.breaks(r.slack)
				pass(10 * time.Second)
				began := time.Now()
				r.calls("", 2, 4)
				pass(10*time.Minute - time.Second)
				r.calls("", 5, 20)
				r.exactly("support", 1, 1)

				tries := r.attempts(began)[1:]
				if len(tries) != 10 {
					t.Errorf("tried at %v, want once a minute", tries)
				}
				for i, at := range tries {
					if want := time.Duration(i) * time.Minute; at < want || at > want+5*time.Second {
						t.Errorf("try %d after %v, want %v", i+1, at, want)
					}
				}
				troubles, err := r.store.Troubles(t.Context())
				if err != nil || len(troubles) != 1 || !strings.HasPrefix(troubles[0].Reason, c.code) || troubles[0].Since.Sub(began).Abs() > time.Second {
					t.Errorf("the store tells of %+v (%v), want %s since the first try", troubles, err, c.code)
				}
				if n := strings.Count(r.log.String(), "channel refuses messages"); n != 1 {
					t.Errorf("the log says so %d times, want once", n)
				}

				c.mend(r.slack)
				r.wantCases("support", 1, 20, 65*time.Second)
				if troubles, err := r.store.Troubles(t.Context()); err != nil || len(troubles) != 0 {
					t.Errorf("the store still tells of %+v (%v)", troubles, err)
				}
				if n := r.count("allo_slack_deliveries_set_aside_total", ""); n != 0 {
					t.Errorf("%v were set aside, want 0", n)
				}
				r.polite()
			})
		})
	}
}
