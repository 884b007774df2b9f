package allo

import "embed"

// Samples holds the five payloads of Allo's page, word for word, as samples/call_received.json and so on. The
// demo feeds them through the pipeline; tests hold Parse to them.
//
//go:embed samples/*.json
var Samples embed.FS
