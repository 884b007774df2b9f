-- +goose Up

-- Why the last attempt at an open post did not settle it: 'HTTP 403'; '' while nothing went wrong.
ALTER TABLE posts ADD COLUMN reason TEXT NOT NULL DEFAULT '';
-- 1 once the history was read after the last attempt, and didn't show the post.
ALTER TABLE posts ADD COLUMN looked INTEGER NOT NULL DEFAULT 0;
-- The newest event when the post was begun: what has a greater id is not shown in it.
ALTER TABLE posts ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;

-- What is being posted waits too. It is few: a post a channel.
CREATE INDEX deliveries_posting ON deliveries (channel, id) WHERE state = 'posting';

-- What is known of contacts is deleted by its age.
CREATE INDEX subjects_at ON subjects (at);

-- A refused post holds nothing, so it is deleted rather than kept: a channel that is stuck makes one a minute.
DELETE FROM posts WHERE state = 'refused' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.post = posts.id);
