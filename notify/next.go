package notify

import (
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// secondLook is how long after an attempt ended a message that Slack took must show in the history.
	secondLook = 5 * time.Second
	// lookFresh is how long before an attempt the last look may have been. What Slack takes late shows later than a look.
	// lookStale is the same where looks are slow and the workspace busy, so that each look would come too early.
	lookFresh = 5 * time.Second
	lookStale = 30 * time.Second
	// doubtLasts is how long after an attempt ended a message may yet show that Slack took.
	doubtLasts = time.Minute
	// unknownMost is how often a message is tried that Slack refuses with an error this program doesn't know. With
	// the backoff that is about half an hour. strangeMost is the same for one that something else refuses, or whose
	// answers can't be read, while Slack answers others: about three minutes.
	unknownMost = 40
	strangeMost = 12
	// splitAfter is how often a digest is tried that draws such answers, before its events go alone: it may be for one
	// of them.
	splitAfter = 3
	// blindMost is how often a message is tried whose history can't be read, before it may be sent elsewhere by hand: it
	// will never be known whether Slack has it.
	blindMost = 3
)

// action is what is done next about a post.
type action string

const (
	try   action = "try"   // make an attempt
	look  action = "look"  // look for it in the history
	hold  action = "hold"  // keep the channel's queue for a while
	leave action = "leave" // nothing: it is settled
)

// course is what this process has learned of an open post, and what it does next.
type course struct {
	do      action
	due     time.Time // of do: not before
	backoff bool      // of do: after a while, the longer the more attempts there were

	doubt    bool      // Slack may have it from an attempt that has ended
	unsure   time.Time // when the last attempt ended that Slack may have taken
	ended    time.Time // when the last attempt ended, whatever its outcome
	looks    int       // how often it was looked for since then
	lookedAt time.Time // when it was last
	blind    bool      // its history can't be read
	odd      int       // attempts that Slack answered in a way which isn't believed for ever
	strange  int       // attempts that something answered in Slack's place, while Slack answered other calls
	leaving  string    // why it is let go of once it was looked for a last time; "" if it isn't
}

// resume is the course of a post that the process before this one left open.
func resume(p *outbox.Post, now time.Time) course {
	c := course{do: try, due: now, doubt: p.Doubt, ended: now, unsure: now} // an attempt of that process ended with it
	if p.Doubt {
		c.do = look
	}
	return c
}

// stale reports whether a post in doubt has to be looked for again before it is tried.
func (c course) stale(now time.Time) bool {
	fresh := lookFresh
	if c.looks > 2 {
		fresh = lookStale
	}
	if c.blind {
		return c.doubt && c.looks == 0
	}
	return c.doubt && now.Sub(c.lookedAt) > fresh
}

// attempting commits that an attempt is about to be made: Slack may have the post if nothing more is heard of it.
var attempting = outbox.Transition{Tries: 1, Doubt: true}

// unread tells why a history isn't read yet.
func unread(o slackapi.Outcome) outbox.Transition {
	return outbox.Transition{Doubt: true, Reason: slackapi.HistoryUnread + o.Reason()}
}

// abandoned lets go of a post whose channel refuses it and told its name to another one, though Slack may have it: the old
// channel tells nobody any more.
var abandoned = outbox.Transition{Fate: outbox.Back}

// next says what becomes of an open post once something was learned of it, by an attempt or by a look. It is the only place
// that does. A post that Slack may have is neither let go of nor sent elsewhere before a look, a minute after the attempt,
// has shown that Slack doesn't have it, unless its history can't be read.
func next(p *post, o slackapi.Outcome) (outbox.Transition, course) {
	c := p.course
	t := outbox.Transition{Reason: o.Reason(), Doubt: c.doubt, Looked: p.Looked, Form: p.Form}
	if p.do != look {
		c.ended, c.looks, c.lookedAt = o.At, 0, time.Time{}
		t.Looked = !c.blind || c.late(o.At)
	}
	c.do, c.due, c.backoff = try, o.At, false
	switch o.Kind {
	case slackapi.Sent:
		c.do, t = leave, outbox.Transition{Fate: outbox.Sent, Shown: outbox.Shown{TS: o.TS, Thread: o.Thread}}
	case slackapi.Unsure:
		c.doubt, c.unsure, t.Doubt, t.Looked = true, o.At, true, c.blind && p.Attempts > blindMost
		c.do = look
		if p.Attempts > 1 {
			c.due = o.At.Add(secondLook)
		}
		if c.spent(p, o) {
			letGo(p, &t, &c)
		}
	case slackapi.Missing, slackapi.Unreadable:
		looked(p, o, &t, &c)
	case slackapi.Wait, slackapi.RefusedToken:
		t.Tries = -1
	case slackapi.Later:
		c.backoff = true
		if c.spent(p, o) {
			letGo(p, &t, &c)
		}
	case slackapi.RefusedMessage:
		if len(p.Deliveries) == 1 && p.Form != outbox.Plain {
			t.Form = outbox.Plain
			break
		}
		letGo(p, &t, &c)
	case slackapi.RefusedThread:
		switch {
		case p.Thread == "": // not a reply, and yet refused as one: that is about the channel
			refusedChannel(&t, &c)
		case c.doubt && !c.blind:
			c.do, c.due = look, c.unsure.Add(doubtLasts)
		default:
			c.doubt, t.Doubt, t.Top = false, false, true
		}
	case slackapi.RefusedChannel:
		refusedChannel(&t, &c)
	}
	return t, c
}

// refusedChannel has a channel's queue held. What Slack surely doesn't have may be sent elsewhere meanwhile.
func refusedChannel(t *outbox.Transition, c *course) {
	c.do = hold
	if !c.doubt {
		t.Fate = outbox.Back
	}
}

// looked says what becomes of a post that was looked for and not found, or whose history can't be read.
func looked(p *post, o slackapi.Outcome, t *outbox.Transition, c *course) {
	late, first := c.late(o.At), c.looks == 0 || !p.Looked
	c.lookedAt, c.looks, c.blind = o.At, c.looks+1, o.Kind == slackapi.Unreadable
	t.Reason, t.Doubt = "", c.doubt
	switch {
	case c.blind:
		t.Looked = late || p.Attempts > blindMost
		first = c.looks == 1
	case late:
		c.doubt, t.Doubt, t.Looked = false, false, true
	case c.leaving != "":
		c.do, c.due = look, c.unsure.Add(doubtLasts)
		return
	case o.At.Sub(c.ended) < secondLook:
		t.Looked = false
		c.do, c.due = look, c.ended.Add(secondLook)
		return
	default:
		t.Looked = true
	}
	if c.leaving != "" {
		t.Reason = c.leaving
		letGo(p, t, c)
		return
	}
	// What keeps failing is tried less and less often.
	c.backoff = first && p.Attempts > 1 && !late
}

// late reports whether what Slack took shows by a time.
func (c course) late(at time.Time) bool { return at.Sub(c.unsure) >= doubtLasts }

// spent counts an attempt whose outcome isn't for ever, and reports whether there were enough of them.
func (c *course) spent(p *post, o slackapi.Outcome) bool {
	tries, most := 0, unknownMost
	switch {
	case !o.Bounded:
		if o.Strange {
			c.strange = 0 // what refuses everything says nothing of this post
		}
		return false
	case o.Strange:
		c.strange++
		tries, most = c.strange, strangeMost
	default:
		c.odd++
		tries = c.odd
	}
	if len(p.Deliveries) > 1 {
		most = splitAfter
	}
	return tries >= most
}

// letGo settles a post that can't be posted as it is, once it is known that Slack doesn't have it, as far as that can be
// known. The events of a digest go alone, as it may be for one of them; one alone is set aside.
func letGo(p *post, t *outbox.Transition, c *course) {
	c.backoff = false
	if c.doubt && !c.blind {
		c.leaving = t.Reason
		c.do, c.due = look, c.unsure.Add(doubtLasts)
		return
	}
	c.do = leave
	*t = outbox.Transition{Fate: outbox.Aside, Reason: t.Reason}
	if len(p.Deliveries) > 1 {
		t.Fate = outbox.Split
	}
}
