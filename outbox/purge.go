package outbox

import (
	"context"
	"fmt"
	"time"
)

// purgeStep is how many events one transaction deletes, so that nobody waits long behind it.
const purgeStep = 200

const purgeQuery = `DELETE FROM events WHERE id IN (
	SELECT e.id FROM events e
	WHERE e.received_at < ? AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.id AND (d.state <> 'sent' OR d.at >= ?))
	ORDER BY e.received_at LIMIT ?)`

// Purge deletes what was delivered, muted or unrouted before a time. It returns how many events that were.
func (s *Store) Purge(ctx context.Context, before time.Time) (int64, error) {
	total := int64(0)
	for {
		var n int64
		err := s.writer.do(ctx, func(t *tx) (err error) {
			n, err = t.changed(purgeQuery, millis(before), millis(before), purgeStep)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("deleting old events: %w", err)
		}
		total += n
		if n < purgeStep {
			break
		}
	}
	err := s.writer.do(ctx, func(t *tx) error {
		for _, query := range []string{
			`DELETE FROM threads WHERE at < ?`,
			`DELETE FROM users WHERE at < ?`,
			`DELETE FROM posts WHERE state <> 'open' AND last_attempt < ? AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.post = posts.id)`,
			`DELETE FROM pace WHERE channel <> '' AND last < ?`,
		} {
			if err := t.exec(query, millis(before)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return total, fmt.Errorf("deleting old posts: %w", err)
	}
	return total, nil
}

// SetAsideOld sets aside what has waited for a channel since before a time; it returns how many deliveries that
// were.
func (s *Store) SetAsideOld(ctx context.Context, channel, reason string, before, now time.Time) (int64, error) {
	var n int64
	err := s.writer.do(ctx, func(t *tx) (err error) {
		n, err = t.changed(`UPDATE deliveries SET state = 'aside', reason = ?, at = ? WHERE state = 'waiting' AND channel = ? AND at < ?`,
			reason, millis(now), channel, millis(before))
		return err
	})
	return n, err
}
