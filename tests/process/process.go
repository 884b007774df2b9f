// Package process builds the program as a user does and runs it, for the tests that end it in ways no test inside of it
// could.
package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Secret is the webhook's.
const Secret = "the-secret-of-the-tests-0123"

// Token is the bot's.
const Token = "xoxb-1-of-the-tests"

// build makes the program once for all tests of a package: with the race detector, if they have it.
var build = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	dir, err := os.MkdirTemp("", "allo-slack-test-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "allo-slack")
	args := []string{"build", "-o", file}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return file, nil
})

// Main runs a package's tests and removes the program.
func Main(m *testing.M) {
	status := m.Run()
	if file, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(status)
}

// Bot is a process of the program.
type Bot struct {
	cmd   *exec.Cmd
	log   lockedBuffer
	ready chan struct{} // closed once it takes events
	done  chan struct{} // closed once it has ended
	err   error

	mu      sync.Mutex
	address string
	metrics string
}

// lockedBuffer keeps what was written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Environ is what serve needs, on ports of its own choice.
func Environ(slackURL, rulesFile, store string, more ...string) []string {
	return append([]string{"SLACK_BOT_TOKEN=" + Token, "WEBHOOK_SECRET=" + Secret, "SLACK_API_URL=" + slackURL, "RULES_FILE=" + rulesFile,
		"DATABASE_URL=sqlite:" + store, "PORT=0", "METRICS_PORT=0", "HOME=" + os.TempDir()}, more...)
}

// Run starts the program with an environment of nothing else. It is killed at the test's end, if it still runs.
func Run(t testing.TB, environ []string, args ...string) *Bot {
	t.Helper()
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	b := &Bot{cmd: exec.Command(file, args...), ready: make(chan struct{}), done: make(chan struct{})}
	b.cmd.Env = environ
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.cmd.Stdout, b.cmd.Stderr = in, in
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	go func() {
		b.read(out)
		b.err = b.cmd.Wait()
		out.Close()
		close(b.done)
	}()
	t.Cleanup(func() { b.Kill() })
	return b
}

// read follows the log until its end.
func (b *Bot) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		_, _ = b.log.Write([]byte(line))
		var entry struct{ Msg, Address, Metrics string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "ready" {
			b.mu.Lock()
			b.address, b.metrics = local(entry.Address), local(entry.Metrics)
			b.mu.Unlock()
			close(b.ready)
		}
		if err != nil {
			return
		}
	}
}

// local is an address that listens everywhere, as this machine calls it.
func local(address string) string {
	return "http://127.0.0.1" + address[strings.LastIndexByte(address, ':'):]
}

// Ready waits until it takes events; it is false if it ended first.
func (b *Bot) Ready() bool {
	select {
	case <-b.ready:
		return true
	case <-b.done:
		select {
		case <-b.ready:
			return true
		default:
			return false
		}
	}
}

// URL is where it listens, and where its metrics are; "" until it is ready.
func (b *Bot) URL() (public, metrics string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.address, b.metrics
}

// Log is all that it wrote.
func (b *Bot) Log() string { return b.log.String() }

// Pid is its process's id.
func (b *Bot) Pid() int { return b.cmd.Process.Pid }

// Kill ends it as a power cut would.
func (b *Bot) Kill() {
	_ = b.cmd.Process.Kill() // it may have ended already
	<-b.done
}

// Stop asks it to end and returns its exit status, or an error if it did not within a time.
func (b *Bot) Stop(within time.Duration) (int, error) {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	return b.Wait(within)
}

// Wait returns its exit status, or an error if it did not end within a time.
func (b *Bot) Wait(within time.Duration) (int, error) {
	select {
	case <-b.done:
		var status *exec.ExitError
		if b.err != nil && !errors.As(b.err, &status) {
			return 0, b.err
		}
		return b.cmd.ProcessState.ExitCode(), nil
	case <-time.After(within):
		return 0, fmt.Errorf("still running %s after it was asked to end", within)
	}
}

// Post hands it an event, once.
func (b *Bot) Post(ctx context.Context, body string) (status int, answer string, err error) {
	public, _ := b.URL()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, public+"/webhook/"+Secret, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b2, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b2), err
}
