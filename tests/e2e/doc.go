// Package e2e holds tests that start the real program against a stand-in for Slack, and end it as the world does.
package e2e
