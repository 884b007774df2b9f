package outbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"
)

const (
	// purgeStep is how many rows one transaction deletes, so that nobody waits long behind it.
	purgeStep = 200
	// freeStep is how many pages one transaction gives back.
	freeStep = 256
	// freeMost is how many free pages are kept whatever the size of the file, and freeKept how many are left for what
	// comes next once there are too many: 8 MiB and 4 MiB.
	freeMost = 8 << 20 / pageSize
	freeKept = freeMost / 2
)

// Queries that delete at most so many rows (?2) that are older than a time (?1).
const (
	purgeEvents = `DELETE FROM events WHERE id IN (
		SELECT e.id FROM events e
		WHERE e.received_at < ?1 AND e.routed = 1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.id AND (d.state NOT IN ('sent', 'moved', 'withdrawn') OR d.at >= ?1))
		AND NOT (e.about <> '' AND EXISTS (SELECT 1 FROM dedupe k WHERE k.key = e.about))
		ORDER BY e.received_at LIMIT ?2)`
	purgeThreads = `DELETE FROM threads WHERE (thread, channel) IN (SELECT thread, channel FROM threads WHERE at < ?1 LIMIT ?2)`
	purgePosts   = `DELETE FROM posts WHERE id IN (
		SELECT p.id FROM posts p WHERE p.state <> 'open' AND p.last_attempt < ?1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.post = p.id) LIMIT ?2)`
	purgeUsers = `DELETE FROM users WHERE email IN (SELECT email FROM users WHERE at < ?1 LIMIT ?2)`
	purgePace  = `DELETE FROM pace WHERE channel IN (SELECT channel FROM pace WHERE channel <> '' AND last < ?1 LIMIT ?2)`
)

// Purge deletes what was delivered, muted or unrouted before a time, unless it is about an event that is kept, and what is
// known of contacts and of people since before then; it gives the room back to the disk where that is a lot, or the disk
// was full. It returns how many events that were.
//
// It needs some room in the log itself, about 300 KB. Where there is none it takes the reserve, a file of 1 MiB beside the
// database, and puts it back at the end; then its steps become smaller until they find room.
func (s *Store) Purge(ctx context.Context, before time.Time) (int64, error) {
	total := int64(0)
	for more := true; more; {
		n, err := s.purge(ctx, purgeEvents, before)
		if total += n; err != nil {
			return total, fmt.Errorf("deleting old events: %w", err)
		}
		more = n > 0 // what was about these goes once they are gone
	}
	if err := s.purgeSubjects(ctx, before); err != nil {
		return total, fmt.Errorf("deleting old contacts: %w", err)
	}
	for _, query := range []string{purgeThreads, purgeUsers, purgePosts, purgePace} {
		if _, err := s.purge(ctx, query, before); err != nil {
			return total, fmt.Errorf("deleting old posts: %w", err)
		}
	}
	if err := dropCopies(s.path, before); err != nil {
		return total, fmt.Errorf("deleting an old copy: %w", err)
	}
	if err := s.giveBack(ctx); err != nil {
		return total, fmt.Errorf("giving free room back: %w", err)
	}
	s.writer.reserve.lay()
	return total, nil
}

// reserve is a file that holds room for the time when the disk has none: then deleting takes room too, and so does
// opening a store that was closed. It is the path; "" is none.
type reserve string

// reserveSize is enough for what is shared by those who read (32 KB), for the log, and for what of the log has no place in
// the database yet.
const reserveSize = 1 << 20

// lay lays the reserve in, if it isn't there and there is room.
func (r reserve) lay() {
	if r == "" {
		return
	}
	if info, err := os.Stat(string(r)); err == nil && info.Size() == reserveSize {
		return
	}
	content := make([]byte, reserveSize)
	rand.Read(content) // zeros could be kept in no room at all; it never fails
	if err := os.WriteFile(string(r), content, 0o600); err != nil {
		os.Remove(string(r)) // part of it would be of little use; the next purge tries again
	}
}

// spend gives the reserve's room back; it is false if there was none.
func (r reserve) spend() bool { return r != "" && os.Remove(string(r)) == nil }

func (s *Store) purge(ctx context.Context, query string, before time.Time) (int64, error) {
	return s.inSteps(purgeStep, func(most int64) (int64, error) {
		var n int64
		err := s.writer.doFree(ctx, func(t *tx) (err error) {
			n, err = t.changed(query, millis(before), most)
			return err
		})
		if err != nil {
			return 0, err
		}
		return n, nil
	})
}

// inSteps makes a write again and again, each time for at most so many things, until it finds fewer. It returns how many
// those were. A step for which the disk has no room is made smaller.
func (s *Store) inSteps(most int64, step func(most int64) (int64, error)) (int64, error) {
	for total := int64(0); ; {
		n, err := step(most)
		switch {
		case isFull(err) && most > 1:
			most = max(most/8, 1)
			continue
		case err != nil:
			return total, err
		}
		total += n
		if n < most {
			return total, nil
		}
	}
}

// oldSubjects are those whose last change is older than a time, but for what has an event that is kept though it is
// older.
const oldSubjects = `SELECT subject FROM subjects WHERE at < ?1 AND NOT EXISTS (
	SELECT 1 FROM routings r JOIN events e ON e.id = r.event WHERE r.subject = subjects.subject AND r.subject <> '' AND e.received_at < ?1) LIMIT ?2`

// purgeSubjects deletes the copies of contacts that have not changed since a time.
func (s *Store) purgeSubjects(ctx context.Context, before time.Time) error {
	_, err := s.inSteps(purgeStep, func(most int64) (int64, error) {
		old, err := s.strings(ctx, oldSubjects, millis(before), most)
		if err != nil || len(old) == 0 {
			return 0, err
		}
		return int64(len(old)), s.writer.doFree(ctx, func(t *tx) error {
			for _, subject := range old {
				// Again by its time: it may have changed meanwhile.
				if err := t.exec(`DELETE FROM subjects WHERE subject = ? AND at < ?`, subject, millis(before)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return err
}

// giveBack gives free pages back to the disk: where they are many, or all of them where the disk was found full.
func (s *Store) giveBack(ctx context.Context) error {
	var free, pages int64
	for pragma, value := range map[string]*int64{"freelist_count": &free, "page_count": &pages} {
		if err := s.db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(value); err != nil {
			return explain(err)
		}
	}
	kept, full := int64(freeKept), s.writer.noRoom.Load()
	switch {
	case full:
		kept = 0
	case free <= freeMost || free <= pages/4:
		return nil
	}
	_, err := s.inSteps(freeStep, func(most int64) (int64, error) {
		var freed int64
		err := s.writer.doFree(ctx, func(t *tx) error {
			var before, after int64
			freed = 0
			if _, err := t.scan(`PRAGMA freelist_count`, nil, &before); err != nil || before <= kept {
				return err
			}
			// It has a row for each page, and exec steps to the last.
			if err := t.exec(fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, most)); err != nil {
				return err
			}
			_, err := t.scan(`PRAGMA freelist_count`, nil, &after)
			freed = before - after
			return err
		})
		if err != nil {
			return 0, err
		}
		return freed, nil
	})
	if err != nil || !full {
		return err
	}
	// Only what is in the database itself leaves its file; the log keeps its room, for what comes next.
	if _, err := s.db.ExecContext(ctx, `PRAGMA wal_checkpoint(RESTART)`); err != nil {
		return explain(err)
	}
	s.writer.noRoom.Store(false)
	return nil
}

// SetAsideOld sets aside what has waited for a channel since before a time, also in an open post all of which has; it
// returns how many deliveries that were.
func (s *Store) SetAsideOld(ctx context.Context, channel, reason string, before, now time.Time) (int64, error) {
	var n int64
	err := s.writer.do(ctx, func(t *tx) error {
		var post string
		old, err := t.scan(`SELECT id FROM posts WHERE state = 'open' AND channel = ?1
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.post = posts.id AND d.at >= ?2)`, []any{channel, millis(before)}, &post)
		if err != nil {
			return err
		}
		if old {
			if err := dropPost(t, post, backInQueue); err != nil {
				return err
			}
		}
		n, err = t.changed(`UPDATE deliveries SET state = 'aside', reason = ?, at = ? WHERE state = 'waiting' AND channel = ? AND at < ?`,
			reason, millis(now), channel, millis(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
