// Package fakeslack is a Slack on this machine: as strict as the real one, faulty on request, with a page to look at it.
// It is the Slack of the tests and of the demo.
//
// What it promises:
//   - It takes what Slack takes and refuses what Slack refuses, with Slack's own codes and answers, so that a client
//     library decodes them: limits of blocks and texts, membership, scopes, archived channels, metadata. Where it is
//     not sure it is the stricter of the two. Check is the same judgement without a server.
//   - It keeps Slack's pace: one message a second a channel, a bucket for the workspace, limits by method, and a 429
//     that holds for its Retry-After. RateLimited counts how often a client ran into it.
//   - It misbehaves when told to (Fault, Chaos): takes a message and loses the answer, answers with garbage or without
//     end, pages in circles, goes away.
//   - Each answer is dated by its own clock (Options.Clock).
//   - What was taken is seen: by conversations.history, by Posts, and on the page, each message with a ts of its own
//     that is greater than all before it.
//   - It holds what other people say too (Others), which the bot may read but neither owns nor changes, and what is
//     deleted goes as in Slack (DeletePost).
//   - What it keeps is bounded: the last 10,000 messages of a channel and the last 20,000 calls. All of it is in memory.
//
// What it does not do: files, interactivity, direct messages, chat.delete, users' tokens, events.
package fakeslack
