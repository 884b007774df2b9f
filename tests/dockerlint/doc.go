// Package dockerlint holds the Dockerfile to BuildKit's own rules, without Docker and without a registry: every warning
// that "docker build --check" would print is an error.
//
// It is a module of its own, so that BuildKit stays out of the bot's go.mod.
package dockerlint
