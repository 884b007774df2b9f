// Package deploy holds only tests, of files that no compiler reads: fly.toml, the Dockerfile, the Slack app's manifest,
// the README's commands, and the direction of imports between this program's packages.
//
// A mistake in one of these shows when somebody deploys, or never: Fly ignores a key that it doesn't know.
package deploy
