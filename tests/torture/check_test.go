package torture

import (
	"context"
	"regexp"
	"time"
)

var token = regexp.MustCompile(`case-\d-\d{5}`)

// shown is which events a channel shows, in order; an event that stands in two messages is there twice.
func (r *run) shown() map[string][]string {
	all := map[string][]string{}
	for _, p := range r.slack.Posts("") {
		in := string(p.Blocks)
		if in == "" {
			in = p.Text
		}
		once := map[string]bool{}
		for _, found := range token.FindAllString(in, -1) {
			if !once[found] {
				once[found] = true
				all[p.ChannelName] = append(all[p.ChannelName], found)
			}
		}
	}
	return all
}

// drain waits until every event is shown, at most two minutes after something was shown last.
func (r *run) drain(all [][]event) func() map[string][]string {
	want := 0
	for _, events := range all {
		for _, e := range events {
			want += len(e.channels)
		}
	}
	for {
		have := 0
		for _, tokens := range r.shown() {
			seen := map[string]bool{}
			for _, found := range tokens {
				seen[found] = true
			}
			have += len(seen)
		}
		if have >= want {
			return r.shown
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
		_, err := r.slack.WaitPosts(ctx, "", len(r.slack.Posts(""))+1)
		cancel()
		if err != nil {
			return r.shown
		}
	}
}

// check compares what channels show with what was sent.
func (r *run) check(all [][]event, shown map[string][]string) (lost, twice, disorder int) {
	places := map[string]map[string][]int{} // by channel and event
	for channel, tokens := range shown {
		places[channel] = map[string][]int{}
		for i, found := range tokens {
			places[channel][found] = append(places[channel][found], i)
		}
	}
	expected := 0
	for _, events := range all {
		last := map[string]int{}
		before := map[string]string{}
		for _, e := range events {
			for _, channel := range e.channels {
				expected++
				at := places[channel][e.token]
				delete(places[channel], e.token)
				switch {
				case len(at) == 0:
					lost++
					r.t.Errorf("#%s doesn't show %s, which was answered", channel, e.token)
					continue
				case len(at) > 1:
					twice++
					r.t.Errorf("#%s shows %s %d times", channel, e.token, len(at))
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
