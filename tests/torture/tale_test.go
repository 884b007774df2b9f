package torture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"allo-slack/fakeslack"
)

// What tags lead to: vip and billing to further channels, private to a stricter rule for the channel that a call has
// anyway, diverted to another channel instead. All others lead nowhere.
const (
	vip      = "vip"
	billing  = "billing"
	diverted = "diverted"
	private  = "private"
)

// few is how many events a digest surely has room for, whatever comes to be known of them: its update always fits.
const few = 10

// tale is what a call has become once all is heard that is said of it: told twice, tagged and summed up, in whatever order
// that arrives. What counts is when Allo said it.
type tale struct {
	home    string // the channel of its line
	tags    []string
	brief   string // the sentence that its message begins with
	full    string // the summary under it
	owner   string
	stale   []string // sentences and summaries that others took the place of
	number  string   // the caller's, which the summaries hold too
	private bool     // the strict rule is the one that leads to its home
	open    bool     // no rule ever was strict
}

// saying is one of the things that are said of a call.
type saying struct {
	topic       string
	data        map[string]any
	add, remove []string // tags
	brief, full string
	owner       string
}

// makeTale makes an event's call one that much is said of. The head is what is said of it each time that it is told; its
// owner is left out of one telling, unless somebody is to be mentioned.
func makeTale(r *rand.Rand, e *event, home, number string, head map[string]any, owner string, mentions bool) {
	id := strings.TrimPrefix(e.token, "case-")
	tags := []string{vip, billing, private, "Key account", "mark-" + id}
	if r.IntN(4) == 0 {
		tags = append(tags, diverted)
	}
	anyTag := func() string { return tags[r.IntN(len(tags))] }

	var said []saying
	add := func(s saying) { said = append(said, s) }
	words := func(kind string) string { return fmt.Sprintf("%s-%s-%c", kind, id, 'a'+len(said)) }
	for i, topic := range []string{"CALL_RECEIVED", "call.completed"} {
		s := saying{topic: topic, data: maps.Clone(head), brief: words("brief"), full: words("full")}
		for range r.IntN(3) {
			if tag := anyTag(); !slices.Contains(s.add, tag) {
				s.add = append(s.add, tag)
			}
		}
		if s.data["tags"] = s.add; len(s.add) == 0 {
			delete(s.data, "tags") // what a telling leaves out is not taken back
		}
		if i > 0 || mentions {
			s.owner, s.data["user_email"] = owner, owner
		}
		if i > 0 && r.IntN(2) == 0 {
			s.full = ""
		}
		add(s)
	}
	for range 2 + r.IntN(2) {
		tag := anyTag()
		add(saying{topic: "tag.added", data: about(r, e.token, "tag", tag), add: []string{tag}})
	}
	for range 1 + r.IntN(2) {
		tag := anyTag()
		other := strings.ToUpper(strings.ReplaceAll(tag, " ", "_")) // the same tag, written in another way
		add(saying{topic: "tag.removed", data: about(r, e.token, "tag", other), remove: []string{tag}})
	}
	for i := range 2 {
		s := saying{topic: "summary.updated", data: about(r, e.token), full: words("full")}
		if i > 0 {
			s.brief = words("brief")
		}
		add(s)
	}

	// From here on they stand in the order in which Allo says them.
	r.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
	for i, s := range said {
		if s.brief != "" {
			s.data["one_sentence_summary"] = fmt.Sprintf("%s %s, call back on %s", e.token, s.brief, number)
		}
		if s.full != "" {
			s.data["summary"] = fmt.Sprintf("%s: the caller can be reached on %s", s.full, number)
		}
		body := envelope(s.topic, storyBegan.Add(time.Duration(i)*10*time.Millisecond), s.data)
		if s.topic == "CALL_RECEIVED" {
			e.body = body
		} else {
			e.beside = append(e.beside, body)
		}
	}
	r.Shuffle(len(e.beside), func(i, j int) { e.beside[i], e.beside[j] = e.beside[j], e.beside[i] })
	e.end(said, home, number)
}

// storyBegan is when the calls of tales were: just now, as rules are asked again for a day only.
var storyBegan = time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)

// about is the data of an event about a call, in one of the ways in which it may name it.
func about(r *rand.Rand, call string, fields ...string) map[string]any {
	data := [...]map[string]any{{"call_id": call}, {"id": call}, {"id": call, "call_id": call}, {"call": map[string]any{"id": call}}}[r.IntN(4)]
	for i := 0; i+1 < len(fields); i += 2 {
		data[fields[i]] = fields[i+1]
	}
	return data
}

func envelope(topic string, at time.Time, data map[string]any) string {
	b, err := json.Marshal(map[string]any{"topic": topic, "version": "2.0", "timestamp": at.Format(time.RFC3339Nano), "data": data})
	if err != nil {
		panic(err) // it holds nothing but strings and numbers
	}
	return string(b)
}

// end finds what the call is in the end, and where it stands: of each tag and of each text the last word counts, and what
// is left out is not taken back.
func (e *event) end(said []saying, home, number string) {
	t := &tale{home: home, number: strings.TrimPrefix(number, "+1")}
	now, ever := map[string]bool{}, map[string]bool{}
	for _, s := range said {
		for _, tag := range s.add {
			now[tag], ever[tag] = true, true
		}
		for _, tag := range s.remove {
			delete(now, tag)
		}
		t.brief, t.full, t.owner = cmp.Or(s.brief, t.brief), cmp.Or(s.full, t.full), cmp.Or(s.owner, t.owner)
	}
	for _, s := range said {
		for _, words := range []string{s.brief, s.full} {
			if words != "" && words != t.brief && words != t.full {
				t.stale = append(t.stale, words)
			}
		}
	}
	t.tags = slices.Sorted(maps.Keys(now))
	t.private, t.open = now[private] && !now[diverted], !ever[private]
	e.tale = t

	if ever[diverted] { // it may come to its home late
		e.channels = slices.DeleteFunc(e.channels, func(channel string) bool { return channel == home })
	}
	missing := func(channel string) bool { return !slices.Contains(slices.Concat(e.channels, e.also), channel) }
	for _, channel := range leads(now, home) {
		if missing(channel) {
			e.also = append(e.also, channel)
		}
	}
	for _, channel := range append(leads(ever, home), home) {
		if missing(channel) && !slices.Contains(e.may, channel) {
			e.may = append(e.may, channel)
		}
	}
}

// leads is where a call's line and its tags lead.
func leads(tags map[string]bool, home string) (channels []string) {
	if tags[vip] || tags[billing] {
		channels = append(channels, vip)
	}
	if tags[billing] {
		channels = append(channels, billing)
	}
	if tags[diverted] {
		return append(channels, diverted)
	}
	return append(channels, home)
}

var (
	tagsShown = regexp.MustCompile(` · tags? ([^·"]+)`)
	noDigit   = regexp.MustCompile(`\D+`)
)

// wrong says what a message of a channel, in which the call stands alone or with others, has wrong.
func (t *tale) wrong(channel string, p fakeslack.Post, alone bool) (wrong []string) {
	shown := words(p)
	want := []string{t.brief}
	if alone {
		want = append(want, t.full, "owner "+t.owner)
	}
	for _, one := range want {
		if !strings.Contains(shown, one) {
			wrong = append(wrong, "doesn't show "+one)
		}
	}
	for _, one := range t.stale {
		if strings.Contains(shown, one) {
			wrong = append(wrong, "still shows "+one)
		}
	}
	if alone {
		var tags []string
		if found := tagsShown.FindStringSubmatch(shown); found != nil {
			tags = strings.Split(strings.TrimSpace(found[1]), ", ")
			slices.Sort(tags)
		}
		if !slices.Equal(tags, t.tags) {
			wrong = append(wrong, fmt.Sprintf("shows the tags %q, want %q", tags, t.tags))
		}
	}
	visible := strings.Contains(noDigit.ReplaceAllString(shown+p.Text, ""), t.number)
	switch {
	case visible && channel == t.home && t.private:
		wrong = append(wrong, "shows a number, which a rule hides")
	case !visible && (channel != t.home || t.open):
		wrong = append(wrong, "hides a number, which no rule does")
	}
	return wrong
}
