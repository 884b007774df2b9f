package fakeslack

import (
	"net/url"
	"strings"
)

// block checks one block. Its kinds are those that Slack shows everywhere.
// Source: https://docs.slack.dev/reference/block-kit/blocks
func (c *checker) block(p string, v any) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	if id := c.text(p, o, "block_id", 0, 255); id != "" {
		if c.blockIDs[id] {
			c.fault(at(p, "block_id"), "`block_id` already exists: %s", id)
		}
		c.blockIDs[id] = true
	}
	kind, _ := o["type"].(string)
	switch kind {
	case "header":
		c.fields(p, o, "type", "block_id", "!text", "level")
		c.textObject(p, o, "text", 150, "plain_text")
		c.integer(p, o, "level", 1, 4)
	case "section":
		c.section(p, o)
	case "context":
		c.fields(p, o, "type", "block_id", "!elements")
		for i, e := range c.list(p, o, "elements", 1, 10) {
			c.contextElement(at(at(p, "elements"), i), e)
		}
	case "actions":
		c.fields(p, o, "type", "block_id", "!elements")
		for i, e := range c.list(p, o, "elements", 1, 25) {
			c.interactive(at(at(p, "elements"), i), e, "button")
		}
	case "divider":
		c.fields(p, o, "type", "block_id")
	case "image":
		c.fields(p, o, "type", "block_id", "!image_url", "!alt_text", "title")
		c.image(p, o)
		c.textObject(p, o, "title", 2000, "plain_text")
	case "rich_text":
		c.richText(p, o)
	case "":
		c.fault(p, "missing required field: type")
	default:
		c.fault(at(p, "type"), "unsupported type: %s", kind)
	}
}

// section has a text, or fields, or both.
// Source: https://docs.slack.dev/reference/block-kit/blocks/section-block
func (c *checker) section(p string, o map[string]any) {
	c.fields(p, o, "type", "block_id", "text", "fields", "accessory", "expand")
	_, text := o["text"]
	_, fields := o["fields"]
	if !text && !fields {
		c.fault(p, "missing required field: text or fields")
	}
	c.textObject(p, o, "text", 3000, "plain_text", "mrkdwn")
	for i, f := range c.list(p, o, "fields", 1, 10) {
		c.textValue(at(at(p, "fields"), i), f, 2000, "plain_text", "mrkdwn")
	}
	c.boolean(p, o, "expand")
	if a, there := o["accessory"]; there {
		c.interactive(at(p, "accessory"), a, "button", "image")
	}
}

func (c *checker) contextElement(p string, v any) {
	if o, ok := v.(map[string]any); ok && o["type"] == "image" {
		c.interactive(p, v, "image")
		return
	}
	c.textValue(p, v, 3000, "plain_text", "mrkdwn")
}

// interactive checks a button or an image inside a block, whichever kinds are allowed there.
// Source: https://docs.slack.dev/reference/block-kit/block-elements/button-element
func (c *checker) interactive(p string, v any, kinds ...string) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	kind, _ := o["type"].(string)
	allowed := false
	for _, k := range kinds {
		allowed = allowed || k == kind
	}
	switch {
	case kind == "":
		c.fault(p, "missing required field: type")
	case !allowed:
		c.fault(at(p, "type"), "unsupported type: %s", kind)
	case kind == "image":
		c.fields(p, o, "type", "!image_url", "!alt_text")
		c.image(p, o)
	default:
		c.fields(p, o, "type", "!text", "action_id", "url", "value", "style", "confirm", "accessibility_label")
		c.textObject(p, o, "text", 75, "plain_text")
		if _, there := o["url"]; there {
			c.link(at(p, "url"), c.text(p, o, "url", 1, 3000))
		}
		c.text(p, o, "value", 0, 2000)
		c.text(p, o, "accessibility_label", 0, 75)
		c.oneOf(p, o, "style", "primary", "danger")
		if id := c.text(p, o, "action_id", 0, 255); id != "" {
			if c.actionIDs[id] {
				c.fault(at(p, "action_id"), "`action_id` already exists: %s", id)
			}
			c.actionIDs[id] = true
		}
		if confirm, there := o["confirm"]; there {
			c.confirm(at(p, "confirm"), confirm)
		}
	}
}

// confirm is the dialog that a button may ask with.
// Source: https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object
func (c *checker) confirm(p string, v any) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	c.fields(p, o, "!title", "!text", "!confirm", "!deny", "style")
	c.textObject(p, o, "title", 100, "plain_text")
	c.textObject(p, o, "text", 300, "plain_text", "mrkdwn")
	c.textObject(p, o, "confirm", 30, "plain_text")
	c.textObject(p, o, "deny", 30, "plain_text")
	c.oneOf(p, o, "style", "primary", "danger")
}

func (c *checker) image(p string, o map[string]any) {
	c.text(p, o, "alt_text", 1, 2000)
	if _, there := o["image_url"]; there {
		c.link(at(p, "image_url"), c.text(p, o, "image_url", 1, 3000))
	}
}

// link holds a target to http and https. Slack takes a few more schemes; nothing here has a use for them.
func (c *checker) link(p, target string) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(target, " \t\r\n<>") {
		c.fault(p, "must be a valid http or https URL")
	}
}

// textObject checks the text object in a field; a missing one is the business of fields.
func (c *checker) textObject(p string, o map[string]any, field string, most int, kinds ...string) {
	if v, there := o[field]; there {
		c.textValue(at(p, field), v, most, kinds...)
	}
}

// textValue checks a text object of one of the kinds.
// Source: https://docs.slack.dev/reference/block-kit/composition-objects/text-object
func (c *checker) textValue(p string, v any, most int, kinds ...string) {
	o := c.object(p, v)
	if o == nil {
		return
	}
	kind, _ := o["type"].(string)
	if kind == "" {
		c.fault(p, "missing required field: type")
		return
	}
	c.oneOf(p, o, "type", kinds...)
	switch kind {
	case "plain_text":
		c.fields(p, o, "type", "!text", "emoji")
	case "mrkdwn":
		c.fields(p, o, "type", "!text", "verbatim")
	}
	c.boolean(p, o, "emoji")
	c.boolean(p, o, "verbatim")
	c.chars += length(c.text(p, o, "text", 1, most))
}
