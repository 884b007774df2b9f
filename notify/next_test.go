package notify

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when the posts of the table were tried last; what is learned of them is learned later.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// tried is a post to which an attempt was made at noon.
func tried(name string, change func(p *post)) namedPost {
	p := &post{Post: &outbox.Post{ID: "p", Form: outbox.Message, Doubt: true, Attempts: 1, Deliveries: make([]outbox.Delivery, 1)}, course: course{do: try}}
	if change != nil {
		change(p)
	}
	return namedPost{name, p}
}

type namedPost struct {
	name string
	post *post
}

func inDoubt(p *post) {
	p.doubt, p.ended, p.unsure, p.Attempts = true, noon.Add(-20*time.Second), noon.Add(-20*time.Second), 2
}

func blind(p *post) { inDoubt(p); p.blind = true }

func with(changes ...func(p *post)) func(p *post) {
	return func(p *post) {
		for _, change := range changes {
			change(p)
		}
	}
}

func asReply(p *post)  { p.Thread = "1.0" }
func asPlain(p *post)  { p.Form = outbox.Plain }
func asDigest(p *post) { p.Form, p.Deliveries = outbox.Digest, make([]outbox.Delivery, 6) }
func often(p *post) {
	p.odd, p.strange = unknownMost-1, strangeMost-1
	if p.Form == outbox.Digest {
		p.odd, p.strange = splitAfter-1, splitAfter-1
	}
}

// attempted are the posts of which something is learned by an attempt, which ended a second after noon.
var attempted = []namedPost{
	tried("a message", nil),
	tried("a message in doubt", inDoubt),
	tried("a message in doubt, blind", blind),
	tried("a message tried often", often),
	tried("a message tried often, in doubt", with(inDoubt, often)),
	tried("a message tried often, blind", with(blind, often)),
	tried("a reply", asReply),
	tried("a reply in doubt", with(asReply, inDoubt)),
	tried("a reply in doubt, blind", with(asReply, blind)),
	tried("plain text", asPlain),
	tried("plain text in doubt", with(asPlain, inDoubt)),
	tried("plain text in doubt, blind", with(asPlain, blind)),
	tried("a digest", asDigest),
	tried("a digest in doubt", with(asDigest, inDoubt)),
	tried("a digest tried often", with(asDigest, often)),
	tried("a digest tried often, in doubt", with(asDigest, inDoubt, often)),
	tried("a digest tried often, blind", with(asDigest, blind, often)),
}

// sought are the posts that are looked for.
var sought = []namedPost{
	tried("unsure once", looking(1)),
	tried("unsure for the third time", looking(3)),
	tried("unsure for the fifth time", looking(5)),
	tried("unsure, and looked for", with(looking(3), func(p *post) { p.looks, p.Looked = 2, true })),
	tried("unsure, and blind before", with(looking(5), func(p *post) { p.blind = true })),
	tried("to be let go of", with(looking(3), func(p *post) { p.leaving = "msg_too_long" })),
	tried("a digest to be let go of", with(looking(3), asDigest, func(p *post) { p.leaving = "msg_too_long" })),
}

func looking(attempts int) func(p *post) {
	return func(p *post) {
		p.do, p.doubt, p.ended, p.unsure, p.Attempts = look, true, noon, noon, attempts
	}
}

// What an attempt can teach: every kind of outcome, and the marks that change what it means.
var ofAnAttempt = []slackapi.Outcome{
	{Kind: slackapi.Sent, Code: "", TS: "2.0", Thread: "1.0"},
	{Kind: slackapi.Unsure, Code: "HTTP 500"},
	{Kind: slackapi.Unsure, Code: "an answer that can't be read", Strange: true, Bounded: true},
	{Kind: slackapi.Wait, Code: "ratelimited", Answered: true},
	{Kind: slackapi.Later, Code: "no connection"},
	{Kind: slackapi.Later, Code: "moon_in_the_way", Answered: true, Bounded: true},
	{Kind: slackapi.Later, Code: "HTTP 403", Strange: true, Bounded: true},
	{Kind: slackapi.Later, Code: "HTTP 403", Strange: true},
	{Kind: slackapi.RefusedMessage, Code: "invalid_blocks"},
	{Kind: slackapi.RefusedThread, Code: "cannot_reply_to_message"},
	{Kind: slackapi.RefusedChannel, Code: "is_archived"},
	{Kind: slackapi.RefusedToken, Code: "token_revoked"},
}

// What a look can teach, and when after the attempt.
var ofALook = []slackapi.Outcome{
	{Kind: slackapi.Sent, TS: "2.0", At: noon.Add(time.Second)},
	{Kind: slackapi.Missing, At: noon.Add(time.Second)},
	{Kind: slackapi.Missing, At: noon.Add(5 * time.Second)},
	{Kind: slackapi.Missing, At: noon.Add(time.Minute)},
	{Kind: slackapi.Unreadable, Code: "missing_scope", At: noon.Add(time.Second)},
	{Kind: slackapi.Unreadable, Code: "missing_scope", At: noon.Add(time.Minute)},
}

// TestNext holds what becomes of every kind of post after every kind of outcome to testdata/next.txt, which a person can read.
func TestNext(t *testing.T) {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(p namedPost, o slackapi.Outcome) {
		was := fmt.Sprint(*p.post.Post, p.post.course)
		to, c := next(p.post, o)
		if is := fmt.Sprint(*p.post.Post, p.post.course); is != was {
			t.Errorf("%s, %s: the post was changed: %s, was %s", p.name, o.Kind, is, was)
		}
		said := o.Kind.String()
		if o.Reason() != "" {
			said += " (" + o.Reason() + ")"
		}
		if p.post.do == look {
			said += " " + o.At.Sub(noon).String() + " after it"
		}
		if o.Strange && !o.Bounded {
			said += ", as is everything"
		}
		fmt.Fprintf(table, "  %s\t%s\n", said, describe(to, c))
		t.Run(p.name+" "+said, func(t *testing.T) { sane(t, p.post, o, to, c) })
	}
	fmt.Fprintln(table, "# What becomes of a post after an attempt that ended at 12:00:01.")
	for _, p := range attempted {
		fmt.Fprintf(table, "\n%s\n", p.name)
		for _, o := range ofAnAttempt {
			o.At = noon.Add(time.Second)
			row(p, o)
		}
	}
	fmt.Fprintln(table, "\n# What becomes of a post that is looked for, and whose last attempt ended at 12:00:00.")
	for _, p := range sought {
		fmt.Fprintf(table, "\n%s\n", p.name)
		for _, o := range ofALook {
			row(p, o)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/next.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs (go test ./notify -run TestNext -update writes it anew); got\n%s", golden, b.String())
	}
	kinds := map[slackapi.Kind]bool{slackapi.NotAsked: true, slackapi.Stopped: true} // which teach nothing
	for _, o := range slices.Concat(ofAnAttempt, ofALook) {
		kinds[o.Kind] = true
	}
	for kind := slackapi.Unsure; kind <= slackapi.Stopped; kind++ {
		if !kinds[kind] {
			t.Errorf("the table has no %s", kind)
		}
	}
}

// describe says a transition and what is done next in words.
func describe(t outbox.Transition, c course) string {
	var words []string
	say := func(yes bool, format string, args ...any) {
		if yes {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	open := t.Fate == outbox.StaysOpen
	words = append(words, t.Fate.String())
	say(t.Fate == outbox.Sent, "at %s in thread %q", t.Shown.TS, t.Shown.Thread)
	say(t.Reason != "", "reason %q", t.Reason)
	say(t.Tries < 0, "no attempt")
	say(open && t.Doubt, "in doubt")
	say(open && t.Doubt && t.Looked, "free to go elsewhere by hand")
	say(open && t.Form == outbox.Plain, "as plain text")
	say(t.Top, "at the top")
	say(c.leaving != "", "leaving")
	if c.do != leave {
		then := string(c.do)
		if c.due.After(noon) {
			then += " at " + c.due.Format("15:04:05")
		}
		if c.backoff {
			then += " and a backoff"
		}
		words = append(words, "then "+then)
	}
	return strings.Join(words, ", ")
}

// sane holds every transition to what none may break.
func sane(t *testing.T, p *post, o slackapi.Outcome, to outbox.Transition, c course) {
	if to.Fate == outbox.Sent != (o.Kind == slackapi.Sent) {
		t.Errorf("%s says sent", o.Kind)
	}
	letGo := to.Fate == outbox.Back || to.Fate == outbox.Split || to.Fate == outbox.Aside
	mayHave := c.doubt && !c.blind && o.Kind != slackapi.Missing
	if letGo && (mayHave || o.Kind == slackapi.Unsure && !p.blind) {
		t.Error("a post that Slack may have was let go of without a look")
	}
	if to.Fate == outbox.StaysOpen && c.doubt != to.Doubt {
		t.Errorf("Slack may have it: %v, and the store is told %v", c.doubt, to.Doubt)
	}
	if to.Fate == outbox.StaysOpen && to.Doubt && to.Looked {
		// It may be sent elsewhere by hand: it was looked for since, or it will never be known.
		seen := o.Kind == slackapi.Missing && o.At.Sub(p.ended) >= secondLook || p.do == try && o.Kind != slackapi.Unsure && !p.blind
		if !seen && !c.late(o.At) && p.Attempts <= blindMost {
			t.Error("it is free to go elsewhere before it was looked for")
		}
	}
	if to.Fate == outbox.StaysOpen && c.do == leave {
		t.Error("an open post with nothing to do next")
	}
	if letGo && to.Fate != outbox.Back && c.do != leave {
		t.Errorf("a settled post that goes on: %s", c.do)
	}
	if to.Fate == outbox.Split && len(p.Deliveries) < 2 {
		t.Error("one event was split")
	}
	if (to.Fate == outbox.Aside || to.Fate == outbox.Split) && to.Reason == "" {
		t.Error("nobody is told why")
	}
	if c.due.Before(o.At) && c.do != leave || c.due.Sub(o.At) > doubtLasts {
		t.Errorf("due %v after it was known, want none to %v", c.due.Sub(o.At), doubtLasts)
	}
	if to.Tries != 0 && o.Kind != slackapi.Wait && o.Kind != slackapi.RefusedToken {
		t.Errorf("%s counts as %d tries", o.Kind, to.Tries)
	}
}
