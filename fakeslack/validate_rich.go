package fakeslack

import "math"

// richText checks a rich_text block and all that is in it.
// Source: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
func (c *checker) richText(p string, o map[string]any) {
	c.fields(p, o, "type", "block_id", "!elements")
	for i, e := range c.list(p, o, "elements", 1, math.MaxInt) {
		c.richGroup(at(at(p, "elements"), i), e, "rich_text_section", "rich_text_quote", "rich_text_preformatted", "rich_text_list")
	}
}

// richGroup checks one of the four kinds of paragraph that rich_text is made of.
func (c *checker) richGroup(p string, v any, kinds ...string) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	kind, _ := o["type"].(string)
	if kind == "" {
		c.fault(p, "missing required field: type")
		return
	}
	before := len(c.faults)
	if c.oneOf(p, o, "type", kinds...); len(c.faults) > before {
		return
	}
	elements := []string{"text", "link", "emoji", "date", "user", "usergroup", "channel", "broadcast", "color"}
	switch kind {
	case "rich_text_section":
		c.fields(p, o, "type", "!elements")
	case "rich_text_quote":
		c.fields(p, o, "type", "!elements", "border")
	case "rich_text_preformatted":
		c.fields(p, o, "type", "!elements", "border", "language")
		c.text(p, o, "language", 1, 255)
		elements = []string{"text", "link"}
	case "rich_text_list":
		c.fields(p, o, "type", "!elements", "!style", "indent", "offset", "border")
		c.oneOf(p, o, "style", "bullet", "ordered")
		c.integer(p, o, "indent", 0, 8)
		c.integer(p, o, "offset", 0, math.MaxInt32)
	}
	c.integer(p, o, "border", 0, 1)
	for i, e := range c.list(p, o, "elements", 1, math.MaxInt) {
		pe := at(at(p, "elements"), i)
		if kind == "rich_text_list" {
			c.richGroup(pe, e, "rich_text_section")
			continue
		}
		c.richElement(pe, e, elements...)
	}
}

// richElement checks one run of text, link, mention and so on.
// Source: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block#element-types
func (c *checker) richElement(p string, v any, kinds ...string) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	kind, _ := o["type"].(string)
	if kind == "" {
		c.fault(p, "missing required field: type")
		return
	}
	before := len(c.faults)
	if c.oneOf(p, o, "type", kinds...); len(c.faults) > before {
		return
	}
	styles := []string{"bold", "italic", "strike", "highlight", "client_highlight", "unlink"}
	switch kind {
	case "text":
		c.fields(p, o, "type", "!text", "style")
		c.chars += length(c.text(p, o, "text", 1, math.MaxInt))
		styles = []string{"bold", "italic", "strike", "code", "underline"}
	case "link":
		c.fields(p, o, "type", "!url", "text", "unsafe", "style")
		c.boolean(p, o, "unsafe")
		c.chars += length(c.text(p, o, "text", 0, math.MaxInt))
		styles = []string{"bold", "italic", "strike", "code", "underline"}
		if _, there := o["url"]; there {
			target := c.text(p, o, "url", 1, 3000)
			c.chars += length(target)
			c.link(at(p, "url"), target)
		}
	case "emoji":
		c.fields(p, o, "type", "!name", "unicode", "skin_tone", "style", "url")
		c.text(p, o, "name", 1, 100)
		c.text(p, o, "unicode", 1, 100)
	case "date":
		c.fields(p, o, "type", "!timestamp", "!format", "url", "fallback", "style")
		c.integer(p, o, "timestamp", 0, math.MaxInt64)
		c.chars += length(c.text(p, o, "format", 1, 1000))
		c.text(p, o, "fallback", 1, 1000)
		if _, there := o["url"]; there {
			c.link(at(p, "url"), c.text(p, o, "url", 1, 3000))
		}
	case "user":
		c.fields(p, o, "type", "!user_id", "style")
		c.text(p, o, "user_id", 1, 255)
	case "usergroup":
		c.fields(p, o, "type", "!usergroup_id", "style")
		c.text(p, o, "usergroup_id", 1, 255)
	case "channel":
		c.fields(p, o, "type", "!channel_id", "style")
		c.text(p, o, "channel_id", 1, 255)
	case "broadcast":
		c.fields(p, o, "type", "!range", "style")
		c.oneOf(p, o, "range", "here", "channel", "everyone")
	case "color":
		c.fields(p, o, "type", "!value", "style")
		c.text(p, o, "value", 1, 255)
	}
	if s, there := o["style"]; there {
		if so := c.object(at(p, "style"), s); so != nil {
			c.fields(at(p, "style"), so, styles...)
			for _, name := range styles {
				c.boolean(at(p, "style"), so, name)
			}
		}
	}
}
