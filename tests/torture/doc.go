// Package torture holds the program to its first promises by force: thousands of events, each sent twice, while the
// process is killed at random, Slack misbehaves in every way it can, other people post in the same channels, one is
// archived now and then, and another one is made anew. Afterwards each event that was answered stands in each of its
// channels once, and in order; its message says what was told of it later (tags, summaries, the call told again, an
// answer), mentions whom it should, and replies where its conversation began. Of a third of the calls much is said at once,
// in another order than it arrives in: each stands in every channel that its tags lead to in the end, its message shows
// what Allo said last, and hides what a stricter rule hides. What Slack refused is listed by failed, told to the ops channel
// once a channel, and comes last when it is sent again.
package torture
