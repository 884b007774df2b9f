package notify

import (
	"context"
	"sync"
	"time"

	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// channelPace is the least time between an answer and the next message in the same channel. Slack documents 1
	// message a second; exactly 1 s still drew 429s when tried.
	channelPace = 1050 * time.Millisecond
	// bucketSize and bucketRate bound the messages in the whole workspace: Slack documents "several hundred a
	// minute". Source: https://docs.slack.dev/apis/web-api/rate-limits
	bucketSize = 20.0
	bucketRate = 4.0 // a second
)

// Limiter says whether something may be done now for a key and, if not, from when on.
type Limiter interface {
	Take(ctx context.Context, key string) (ok bool, reset time.Time, err error)
}

// NewLimiter returns a Limiter that allows one message in each window of channelPace. Its windows are fixed and
// reach over each other's edges, so pacer keeps the distance by itself; this is the second pair of eyes.
func NewLimiter() (Limiter, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: 1, Interval: channelPace})
	if err != nil {
		return nil, err
	}
	return windows{store}, nil
}

type windows struct{ store limiter.Store }

func (w windows) Take(ctx context.Context, key string) (bool, time.Time, error) {
	_, _, reset, ok, err := w.store.Take(ctx, key)
	return ok, time.Unix(0, int64(reset)), err
}

// pacer lets messages through at the pace that Slack asks for. Of the channels that are ready, each has its turn
// at the workspace's bucket.
type pacer struct {
	limiter Limiter
	turn    chan struct{} // held by the one that waits for the bucket

	paused func() time.Duration // how long nothing may be posted yet

	mu       sync.Mutex
	channels map[string]time.Time // from when on each may be written to
	bucket   bucket
}

// bucket is a token bucket.
type bucket struct {
	size, rate float64 // rate is in tokens a second
	tokens     float64
	at         time.Time
}

func (b *bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.size, b.tokens+d.Seconds()*b.rate)
	}
	b.at = now
}

// take takes a token, or says in how long there will be one.
func (b *bucket) take(now time.Time) time.Duration {
	b.refill(now)
	if b.tokens < 1 {
		return time.Duration((1-b.tokens)/b.rate*float64(time.Second)) + time.Microsecond
	}
	b.tokens--
	return 0
}

// newBucket goes on from what was left of one, in the process before this one; that of the zero Tick is full.
func newBucket(size, rate float64, left outbox.Tick, now time.Time) bucket {
	b := bucket{size: size, rate: rate, tokens: size, at: now}
	if !left.At.IsZero() && left.At.Unix() > 0 {
		b.tokens, b.at = left.Tokens, earlier(left.At, now)
	}
	return b
}

// newPacer goes on from the pace of the process before this one. While paused says so it lets nothing through.
func newPacer(limiter Limiter, before outbox.Pace, paused func() time.Duration, now time.Time) *pacer {
	p := &pacer{
		limiter:  limiter,
		turn:     make(chan struct{}, 1),
		paused:   paused,
		channels: map[string]time.Time{},
		bucket:   newBucket(bucketSize, bucketRate, before.Workspace, now),
	}
	for channel, last := range before.Channels {
		p.channels[channel] = earlier(last, now).Add(channelPace) // a clock that was set back must not stop anything for long
	}
	return p
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// wait returns when a message may be posted in a channel; its token is taken then.
func (p *pacer) wait(ctx context.Context, channel string) (outbox.Tick, error) {
	for {
		d := p.channelIn(channel)
		if d <= 0 {
			ok, reset, err := p.limiter.Take(ctx, channel)
			if err != nil {
				return outbox.Tick{}, err
			}
			if ok {
				break
			}
			d = max(time.Until(reset), time.Millisecond)
		}
		if err := slackapi.Sleep(ctx, d); err != nil {
			return outbox.Tick{}, err
		}
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return outbox.Tick{}, context.Cause(ctx)
	}
	for {
		tick, d := p.take(channel)
		if d <= 0 {
			return tick, nil
		}
		if err := slackapi.Sleep(ctx, d); err != nil {
			return outbox.Tick{}, err
		}
	}
}

func (p *pacer) channelIn(channel string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.channels[channel])
}

// take takes a token if there is one and nothing is paused, or says how long to wait before asking again.
func (p *pacer) take(channel string) (outbox.Tick, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if d := p.paused(); d > 0 {
		return outbox.Tick{}, d
	}
	if d := p.bucket.take(now); d > 0 {
		return outbox.Tick{}, d
	}
	p.channels[channel] = now.Add(channelPace)
	return outbox.Tick{At: now, Tokens: p.bucket.tokens}, 0
}

// touch has the distance to a channel's next message count from now on: Slack has answered, or is asked only now though
// the turn was there before.
func (p *pacer) touch(channel string) outbox.Tick {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.bucket.refill(now)
	p.channels[channel] = now.Add(channelPace)
	return outbox.Tick{At: now, Tokens: p.bucket.tokens}
}

// turnKeeps is how long a turn may be kept before it is used or given back. Meanwhile the bucket fills: turns that many
// keep for long would be used all at once.
const turnKeeps = 1500 * time.Millisecond

// giveBack returns a token that was not needed, unless it was kept for too long.
func (p *pacer) giveBack(tick outbox.Tick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(tick.At) <= turnKeeps {
		p.bucket.tokens = min(bucketSize, p.bucket.tokens+1)
	}
}
