package torture

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/tests/process"
)

var token = regexp.MustCompile(`case-\d-\d{5}`)

// tokens are which events a message shows, in order.
func tokens(p fakeslack.Post) []string {
	var list []string
	for _, found := range token.FindAllString(words(p), -1) {
		if !slices.Contains(list, found) {
			list = append(list, found)
		}
	}
	return list
}

// words are what a message shows.
func words(p fakeslack.Post) string {
	if len(p.Blocks) == 0 {
		return p.Text
	}
	return string(p.Blocks)
}

// posts are a channel's messages; those of the one that was made anew begin with the one before.
func (r *run) posts(channel string) []fakeslack.Post {
	if channel == anew {
		return append(r.slack.Posts(former), r.slack.Posts(anew)...)
	}
	return r.slack.Posts(channel)
}

// shown is which events a channel shows, in order; an event that stands in two messages is there twice.
func (r *run) shown(channel string) []string {
	var list []string
	for _, p := range r.posts(channel) {
		list = append(list, tokens(p)...)
	}
	return list
}

// rooms are the channels of events, and what they are to show.
func rooms(all [][]event) map[string][]event {
	rooms := map[string][]event{}
	for _, events := range all {
		for _, e := range events {
			for _, channel := range slices.Concat(e.channels, e.also) {
				rooms[channel] = append(rooms[channel], e)
			}
		}
	}
	return rooms
}

// missing is how many events are not shown yet that are to be.
func (r *run) missing(all [][]event) int {
	n := 0
	for channel, events := range rooms(all) {
		shown := map[string]bool{}
		for _, found := range r.shown(channel) {
			shown[found] = true
		}
		for _, e := range events {
			if !shown[e.token] && !e.refused {
				n++
			}
		}
	}
	return n
}

// known are the events by what shows them.
func known(all [][]event) map[string]event {
	known := map[string]event{}
	for _, e := range slices.Concat(all...) {
		if e.token != "" {
			known[e.token] = e
		}
	}
	return known
}

// stale are the messages that don't show what was told of their event later.
func (r *run) stale(all [][]event) (stale []string) {
	known := known(all)
	for _, channel := range allChannels() {
		for _, p := range r.posts(channel) {
			list := tokens(p)
			for _, found := range list {
				e := known[found]
				if len(list) == 1 {
					for _, want := range e.shows {
						if !strings.Contains(words(p), want) || strings.Contains(words(p), "passing") {
							stale = append(stale, fmt.Sprintf("#%s: the message of %s doesn't show %s: %s", channel, e.token, want, p.Text))
						}
					}
				}
				if e.tale != nil && settles(channel, list) {
					for _, wrong := range e.tale.wrong(channel, p, len(list) == 1) {
						stale = append(stale, fmt.Sprintf("#%s: the message of %s %s: %s", channel, e.token, wrong, p.Text))
					}
				}
			}
		}
	}
	return stale
}

// settles reports whether a message surely comes to show all that is known of its events: it has room for it, and its
// channel was never archived, where Slack refuses what is brought up to date.
func settles(channel string, tokens []string) bool {
	return len(tokens) <= few && channel != archived && channel != anew
}

// drain waits until nothing is left, at most three minutes after it became less.
func (r *run) drain(left func() int) {
	least, since := left(), time.Now()
	for least > 0 && time.Since(since) < 3*time.Minute {
		pause(r.t.Context(), 200*time.Millisecond)
		if n := left(); n < least {
			least, since = n, time.Now()
		}
	}
}

// check compares what channels show with what was sent.
func (r *run) check(all [][]event) (lost, twice, disorder int) {
	places := map[string]map[string][]int{} // by channel and event
	for _, channel := range allChannels() {
		places[channel] = map[string][]int{}
		for i, found := range r.shown(channel) {
			places[channel][found] = append(places[channel][found], i)
		}
	}
	expected := 0
	for _, events := range all {
		last := map[string]int{}
		before := map[string]string{}
		for _, e := range events {
			for _, channel := range slices.Concat(e.channels, e.also, e.may) {
				if e.refused {
					continue // and told by failed
				}
				at := places[channel][e.token]
				delete(places[channel], e.token)
				if len(at) > 1 {
					twice++
					r.t.Errorf("#%s shows %s %d times", channel, e.token, len(at))
				}
				if slices.Contains(e.may, channel) {
					continue
				}
				expected++
				if len(at) == 0 {
					lost++
					r.t.Errorf("#%s doesn't show %s, which was answered", channel, e.token)
					continue
				}
				if slices.Contains(e.also, channel) {
					continue
				}
				if previous, ok := last[channel]; ok && at[0] < previous {
					disorder++
					r.t.Errorf("#%s shows %s before %s, which was answered before it was sent", channel, e.token, before[channel])
				}
				last[channel], before[channel] = at[0], e.token
			}
		}
	}
	for channel, tokens := range places {
		for found := range tokens {
			r.t.Errorf("#%s shows %s, which was not for it", channel, found)
		}
	}
	if expected == 0 {
		r.t.Error("nothing was sent")
	}
	return lost, twice, disorder
}

// checkMessages looks at what messages say, whom they mention, and which thread they are in.
func (r *run) checkMessages(all [][]event) {
	for _, stale := range r.stale(all) {
		r.t.Error(stale)
	}
	if r.t.Failed() {
		for _, c := range r.slack.Calls("chat.update") {
			r.t.Logf("update at %s of %s: %d %s %s: %s", c.At.Format(time.StampMilli), c.Form.Get("ts"), c.Status, c.Err, c.Fault, c.Form.Get("text"))
		}
	}
	told, mentioned, replies, tales := 0, 0, 0, 0
	known := known(all)
	for _, channel := range allChannels() {
		first := map[string]fakeslack.Post{} // the message that opened a conversation
		for _, p := range r.posts(channel) {
			list := tokens(p)
			if len(list) == 0 {
				r.t.Errorf("#%s has a message that shows nothing that was sent: %s", channel, p.Text)
				continue
			}
			one := known[list[0]]
			if len(list) == 1 {
				told += len(one.shows)
				if one.tale != nil && settles(channel, list) {
					tales++
				}
				if strings.HasPrefix(channel, "told") && one.conversation == "" {
					pings := strings.Join(p.Pings, " ")
					if one.pings == "" && pings != "" || one.pings != "" && (len(p.Pings) != 1 || !strings.Contains(pings, one.pings)) {
						r.t.Errorf("#%s: the message of %s mentions %q, want %q", channel, one.token, pings, one.pings)
					}
					mentioned += len(p.Pings)
				}
			}
			for _, other := range list {
				if p.ThreadTS != "" && known[other].conversation != one.conversation {
					r.t.Errorf("#%s: a reply shows %s and %s, which don't belong together", channel, one.token, other)
				}
			}
			opener, opened := first[one.conversation]
			switch {
			case p.ThreadTS != "":
				replies++
				if one.conversation == "" || !opened || p.ThreadTS != opener.TS {
					r.t.Errorf("#%s: %s replies to %q, want the message that opened its conversation, %q", channel, one.token, p.ThreadTS, opener.TS)
				}
			case len(list) == 1 && one.conversation != "":
				if opened && opener.Channel == p.Channel {
					r.t.Errorf("#%s: %s stands at the top, want it in the conversation's thread, %q", channel, one.token, opener.TS)
				}
				first[one.conversation] = p
			}
		}
	}
	r.t.Logf("%d things told later, %d mentions, %d replies and %d calls with a tale looked at", told, mentioned, replies, tales)
	if told == 0 || mentioned+replies == 0 || tales == 0 {
		r.t.Error("nothing to look at: no message stood alone, or none mentioned anybody, replied or had a tale")
	}
}

// command runs a command of the program beside the bot, and returns the lines that it printed.
func (r *run) command(args ...string) []string {
	r.t.Helper()
	b := process.Run(r.t, r.env, args...)
	if status, err := b.Wait(time.Minute); status != 0 || err != nil {
		r.t.Errorf("%s: status %d, %v\n%s", strings.Join(args, " "), status, err, b.Log())
	}
	return strings.Split(strings.TrimSpace(b.Log()), "\n")
}

// failed fails unless the program lists exactly what Slack refused, and returns how much that is.
func (r *run) failed(all [][]event) int {
	got, want := map[string]int{}, map[string]int{}
	for channel, events := range rooms(all) {
		for _, e := range events {
			if e.refused {
				want["#"+channel]++
			}
		}
	}
	wanted, n := 0, 0
	for _, of := range want {
		wanted += of
	}
	// What is refused last may be tried as plain text yet.
	r.drain(func() (left int) {
		clear(got)
		n = 0
		for _, line := range r.command("failed", "-json") {
			var f struct{ Channel, State, Reason string }
			if line == "" {
				continue
			}
			err := json.Unmarshal([]byte(line), &f)
			switch {
			case err != nil || !strings.HasPrefix(f.Reason, "invalid_blocks"):
				r.t.Errorf("failed lists %s (%v), want only what Slack refused", line, err)
				continue
			case f.State != "set aside":
				continue
			}
			got[f.Channel]++
			n++
		}
		return wanted - n
	})
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("failed lists %v by channel, want %v", got, want)
	}
	return n
}

// checkNotes fails unless the ops channel has heard once of each channel in which something was set aside.
func (r *run) checkNotes(all [][]event) {
	notes := map[string]int{}
	r.drain(func() (left int) {
		clear(notes)
		for _, p := range r.slack.Posts(ops) {
			for _, found := range regexp.MustCompile(`#[a-z0-9-]+: \d+ messages? (was|were) set aside`).FindAllString(p.Text, -1) {
				notes[strings.SplitN(found, ":", 2)[0]]++
			}
		}
		for channel, events := range rooms(all) {
			if slices.ContainsFunc(events, func(e event) bool { return e.refused }) && notes["#"+channel] == 0 {
				left++
			}
		}
		return left
	})
	for channel, events := range rooms(all) {
		want := 0
		if slices.ContainsFunc(events, func(e event) bool { return e.refused }) {
			want = 1
		}
		if got := notes["#"+channel]; got != want {
			r.t.Errorf("the ops channel hears %d times of what was set aside in #%s, want %d", got, channel, want)
		}
	}
}

// replay sends what was refused again, which Slack takes now: it comes last.
func (r *run) replay(all [][]event) {
	before := map[string]int{}
	for channel := range rooms(all) {
		before[channel] = len(r.shown(channel))
	}
	r.command("replay", "-all")
	left := func() (left int) {
		for channel, events := range rooms(all) {
			late := r.shown(channel)[before[channel]:]
			for _, e := range events {
				if e.refused && !slices.Contains(late, e.token) {
					left++
				}
			}
		}
		return left
	}
	r.drain(left)
	if n := left(); n > 0 {
		r.t.Errorf("%d of what was sent again are not shown", n)
	}
	for channel := range rooms(all) {
		seen := map[string]bool{}
		for _, found := range r.shown(channel) {
			if seen[found] {
				r.t.Errorf("#%s shows %s twice after a replay", channel, found)
			}
			seen[found] = true
		}
	}
}
