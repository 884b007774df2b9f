// Package torture holds the program to its first promises by force: thousands of events, each sent twice, while the
// process is killed at random and Slack misbehaves in every way it can. Afterwards each event that was answered stands
// in each of its channels once, and in order.
package torture
