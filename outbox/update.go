package outbox

import (
	"context"
	"fmt"
	"time"
)

// Update is a post that Slack has and that has something new to say.
type Update struct {
	Post string
	Turn int64 // of Updated
}

const updatesQuery = `SELECT u.post, u.turn FROM updates u CROSS JOIN posts p ON p.id = u.post WHERE p.state = 'sent' AND p.whole = 1 LIMIT ?`

// Updates lists posts that have something new to say, at most limit.
func (s *Store) Updates(ctx context.Context, limit int) ([]Update, error) {
	rows, err := s.db.QueryContext(ctx, updatesQuery, limit)
	if err != nil {
		return nil, fmt.Errorf("reading updates: %w", explain(err))
	}
	defer rows.Close()
	var list []Update
	for rows.Next() {
		var u Update
		if err := rows.Scan(&u.Post, &u.Turn); err != nil {
			return nil, fmt.Errorf("reading updates: %w", err)
		}
		list = append(list, u)
	}
	return list, explain(rows.Err())
}

// SentPost returns a post that Slack has, with what it holds and what is known of that now; nil if it is gone.
func (s *Store) SentPost(ctx context.Context, id string) (*Post, error) {
	p, err := s.post(ctx, `state = 'sent' AND id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("reading a post: %w", err)
	}
	return p, nil
}

// Updated commits that an update was made, or given up. What became new meanwhile stays to be told. Of a post that is given,
// a message of one delivery, so many parts are to follow it in its thread: those that do not yet wait.
func (s *Store) Updated(ctx context.Context, u Update, p *Post, parts int, now time.Time) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if p != nil {
			if err := addParts(t, p, Shown{TS: p.TS, Thread: p.Thread, Parts: parts}, millis(now)); err != nil {
				return err
			}
		}
		return t.exec(`DELETE FROM updates WHERE post = ? AND turn = ?`, u.Post, u.Turn)
	})
	if err != nil {
		return fmt.Errorf("recording an update: %w", err)
	}
	return nil
}

// User is what is known of an email.
type User struct {
	Email string
	ID    string // "" if Slack doesn't know the email
	At    time.Time
}

// Users lists the emails that Slack was asked for.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT email, id, at FROM users`)
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", explain(err))
	}
	defer rows.Close()
	var list []User
	for rows.Next() {
		var u User
		var at int64
		if err := rows.Scan(&u.Email, &u.ID, &at); err != nil {
			return nil, fmt.Errorf("reading users: %w", err)
		}
		u.At = fromMillis(at)
		list = append(list, u)
	}
	return list, explain(rows.Err())
}

// SetUser commits which user an email stands for.
func (s *Store) SetUser(ctx context.Context, u User) error {
	err := s.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO users (email, id, at) VALUES (?, ?, ?) ON CONFLICT (email) DO UPDATE SET id = excluded.id, at = excluded.at`, u.Email, u.ID, millis(u.At))
	})
	if err != nil {
		return fmt.Errorf("recording a user: %w", err)
	}
	return nil
}
