package fakeslack

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf16"
)

// Limits of a message as a whole.
//
// Sources: https://docs.slack.dev/reference/methods/chat.postMessage (text, metadata),
// https://docs.slack.dev/reference/block-kit/blocks (50 blocks). maxMessageChars is what was seen to be taken: about
// 10,000 characters were refused as msg_blocks_too_long, 9,600 were not.
const (
	maxText         = 40000
	splitText       = 4000
	maxBlocks       = 50
	maxMessageChars = 9600
	maxMetadata     = 16 << 10
)

// Error is a refusal in Slack's words. Messages is what Slack puts in response_metadata.messages, without its
// "[ERROR] ", and may be empty.
type Error struct {
	Code     string
	Messages []string
}

// Error says the code, and what explains it.
func (e *Error) Error() string {
	if len(e.Messages) == 0 {
		return e.Code
	}
	return e.Code + ": " + strings.Join(e.Messages, "; ")
}

// Check holds a message to Slack's rules, as chat.postMessage would: text, blocks and metadata are the form fields of
// those names, each of which may be "". It returns nil or an *Error that names every fault found, not the first only.
//
// Where Slack is lenient in ways nobody should rely on (an unknown field in a block, an odd event_type in the metadata), Check
// refuses. Lengths are counted in UTF-16 units, as sent: never less than what Slack counts. In the total of a message
// count all texts and the targets of rich_text links, but not the targets of buttons.
//
// It does not look at what the words say: see Pings.
func Check(text, blocks, metadata string) error {
	if strings.TrimSpace(text) == "" && emptyBlocks(blocks) {
		return &Error{Code: "no_text"}
	}
	if length(text) > maxText {
		return &Error{Code: "msg_too_long"}
	}
	if strings.TrimSpace(blocks) != "" {
		if err := checkBlocks(blocks); err != nil {
			return err
		}
	}
	return checkMetadata(metadata)
}

func emptyBlocks(blocks string) bool {
	b := strings.TrimSpace(blocks)
	return b == "" || b == "[]" || b == "null"
}

func checkBlocks(blocks string) error {
	v, err := decode(blocks)
	list, ok := v.([]any)
	if err != nil || !ok {
		return &Error{Code: "invalid_blocks_format"}
	}
	c := &checker{blockIDs: map[string]bool{}, actionIDs: map[string]bool{}}
	if len(list) > maxBlocks {
		c.fault("/blocks", "no more than %d items allowed", maxBlocks)
	}
	for i, b := range list {
		c.block(at("/blocks", i), b)
	}
	if len(c.faults) > 0 {
		return &Error{Code: "invalid_blocks", Messages: c.faults}
	}
	if c.chars > maxMessageChars {
		return &Error{Code: "msg_blocks_too_long", Messages: []string{
			fmt.Sprintf("must be less than %d characters in all, has %d [json-pointer:/blocks]", maxMessageChars+1, c.chars)}}
	}
	return nil
}

// eventType is what an event_type may be.
// Source: https://docs.slack.dev/messaging/message-metadata
var eventType = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func checkMetadata(metadata string) error {
	if metadata == "" {
		return nil
	}
	if len(metadata) > maxMetadata {
		return &Error{Code: "metadata_too_large"}
	}
	v, err := decode(metadata)
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return &Error{Code: "invalid_metadata_format"}
	}
	var faults []string
	name, isText := m["event_type"].(string)
	switch {
	case !isText:
		faults = append(faults, "missing required field: event_type [json-pointer:/metadata]")
	case !eventType.MatchString(name):
		faults = append(faults, "must be letters, digits, _ or - [json-pointer:/metadata/event_type]")
	}
	if _, isObject := m["event_payload"].(map[string]any); !isObject {
		faults = append(faults, "missing required field: event_payload [json-pointer:/metadata]")
	}
	for k := range m {
		if k != "event_type" && k != "event_payload" {
			faults = append(faults, "invalid additional property: "+k+" [json-pointer:/metadata]")
		}
	}
	if len(faults) > 0 {
		sort.Strings(faults)
		return &Error{Code: "invalid_metadata_format", Messages: faults}
	}
	return nil
}

// decode reads one JSON value and nothing behind it. Numbers stay as they are written.
func decode(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// length counts UTF-16 units.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// checker walks the blocks of one message and gathers what is wrong with them.
type checker struct {
	faults    []string
	chars     int
	blockIDs  map[string]bool
	actionIDs map[string]bool
}

func at(pointer string, key any) string { return fmt.Sprintf("%s/%v", pointer, key) }

func (c *checker) fault(pointer, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...)+" [json-pointer:"+pointer+"]")
}

// fields checks that nothing but the named fields is there. A name that starts with "!" is required.
func (c *checker) fields(pointer string, o map[string]any, names ...string) {
	allowed := make(map[string]bool, len(names))
	for _, n := range names {
		required := strings.HasPrefix(n, "!")
		n = strings.TrimPrefix(n, "!")
		allowed[n] = true
		if _, there := o[n]; required && !there {
			c.fault(pointer, "missing required field: %s", n)
		}
	}
	var extra []string
	for k := range o {
		if !allowed[k] {
			extra = append(extra, k)
		}
	}
	sort.Strings(extra)
	for _, k := range extra {
		c.fault(pointer, "invalid additional property: %s", k)
	}
}

// object is v as an object; a fault and nil if it is none.
func (c *checker) object(pointer string, v any) map[string]any {
	o, ok := v.(map[string]any)
	if !ok {
		c.fault(pointer, "must be an object")
		return nil
	}
	return o
}

// list is the array in a field with least to most items; nil if it is missing or anything else.
func (c *checker) list(pointer string, o map[string]any, field string, least, most int) []any {
	v, there := o[field]
	if !there {
		return nil
	}
	pointer = at(pointer, field)
	l, ok := v.([]any)
	switch {
	case !ok:
		c.fault(pointer, "must be an array")
	case len(l) < least:
		c.fault(pointer, "no less than %d items allowed", least)
	case len(l) > most:
		c.fault(pointer, "no more than %d items allowed", most)
	}
	return l
}

// text is the string in a field of at least least and at most most characters; "" if it is missing.
func (c *checker) text(pointer string, o map[string]any, field string, least, most int) string {
	v, there := o[field]
	if !there {
		return ""
	}
	pointer = at(pointer, field)
	s, ok := v.(string)
	switch n := length(s); {
	case !ok:
		c.fault(pointer, "must be a string")
	case n < least:
		c.fault(pointer, "must be more than %d characters", least-1)
	case n > most:
		c.fault(pointer, "must be less than %d characters", most+1)
	}
	return s
}

func (c *checker) oneOf(pointer string, o map[string]any, field string, values ...string) {
	v, there := o[field]
	if !there {
		return
	}
	for _, want := range values {
		if v == want {
			return
		}
	}
	c.fault(at(pointer, field), "value must be one of %s", strings.Join(values, ", "))
}

func (c *checker) boolean(pointer string, o map[string]any, field string) {
	if v, there := o[field]; there {
		if _, ok := v.(bool); !ok {
			c.fault(at(pointer, field), "must be a boolean")
		}
	}
}

func (c *checker) integer(pointer string, o map[string]any, field string, least, most int64) {
	v, there := o[field]
	if !there {
		return
	}
	n, ok := v.(json.Number)
	i, err := n.Int64()
	if !ok || err != nil || i < least || i > most {
		c.fault(at(pointer, field), "must be an integer from %d to %d", least, most)
	}
}
