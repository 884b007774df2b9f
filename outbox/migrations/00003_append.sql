-- +goose Up

-- What was said never changes. What is said later of a call is an event of its own, about the first, and what is known of
-- the call is made of all of them whenever it is needed. That an event is routed is all that is written to its row later,
-- in its place: any other change would write the body once more.
ALTER TABLE events ADD COLUMN key TEXT NOT NULL DEFAULT '';        -- what others are about it by
ALTER TABLE events ADD COLUMN said_at INTEGER NOT NULL DEFAULT 0;  -- Allo's time of saying, else received_at
ALTER TABLE events ADD COLUMN routed INTEGER NOT NULL DEFAULT 0;   -- 1 once it was decided what follows from it
UPDATE events SET routed = 1, said_at = received_at, key = COALESCE((SELECT min(d.key) FROM dedupe d
    WHERE d.event = events.id AND d.key NOT LIKE 'delivery:%' AND d.key NOT LIKE 'said:%'), '');

-- What follows from an event.
CREATE TABLE routings (
    event      INTEGER PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    fate       TEXT    NOT NULL,            -- 'routed', 'muted', 'unrouted', 'amended' or 'duplicate'
    known      INTEGER NOT NULL DEFAULT 0,  -- grows each time that something new is known of it
    thread     TEXT    NOT NULL DEFAULT '', -- what else belongs together with it has the same
    thread_for INTEGER NOT NULL DEFAULT 0,  -- how long a thread is gone on with, in milliseconds after its last message; 0: always
    subject    TEXT    NOT NULL DEFAULT '', -- what it tells the whole state of
    before     BLOB,                        -- the envelope that told the subject's state before; NULL if there was none
    answer     TEXT    NOT NULL DEFAULT ''  -- of what a person asked for: what became of it, as JSON
);
INSERT INTO routings (event, fate, thread, thread_for, subject, before) SELECT id, fate, thread, thread_for, subject, before FROM events;
CREATE INDEX routings_subject ON routings (subject) WHERE subject <> '';

-- By what events are found that mean something for each other. What that is the outbox doesn't know.
CREATE TABLE marks (
    mark  TEXT    NOT NULL,
    at    INTEGER NOT NULL, -- when it happened
    event INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    PRIMARY KEY (mark, at, event)
) WITHOUT ROWID;
CREATE INDEX marks_event ON marks (event);
INSERT INTO marks (mark, at, event) SELECT 'asks:' || asks, happened_at, id FROM events WHERE asks <> '';
INSERT INTO marks (mark, at, event) SELECT 'answers:' || answers, happened_at, id FROM events WHERE answers <> '';
INSERT INTO marks (mark, at, event) SELECT thread, happened_at, id FROM events WHERE thread LIKE 'call:%';

-- What recognises a repeat of one telling of a call is a key as any other.
INSERT OR IGNORE INTO dedupe (key, event, at)
    SELECT c.key || '#' || substr(s.key, 6), s.event, s.at FROM dedupe s JOIN dedupe c ON c.event = s.event AND c.said <> '' WHERE s.key LIKE 'said:%';
DELETE FROM dedupe WHERE key LIKE 'said:%';
INSERT OR IGNORE INTO dedupe (key, event, at) SELECT key || '#' || said, event, at FROM dedupe WHERE said <> '';
ALTER TABLE dedupe DROP COLUMN said;

DROP INDEX events_thread;
DROP INDEX events_about;
DROP INDEX events_asks;
DROP INDEX events_answers;
-- fate, happened_at, subject, before, thread, thread_for, asks, answers and answer stay in events, unused: to drop one column
-- is to write the whole table once more.
CREATE INDEX events_about ON events (about, said_at, id) WHERE about <> '';
CREATE INDEX events_new ON events (id) WHERE routed = 0;

-- How often a person had it sent again. A delivery that went to another channel leaves its row as 'moved', one that a rule
-- muted before Slack had it as 'withdrawn': the channel doesn't get the event by itself again.
ALTER TABLE deliveries ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_gone ON deliveries (channel) WHERE state IN ('moved', 'withdrawn');

-- 0 of a message that was found in Slack and holds what this store doesn't know: it can't be written again.
ALTER TABLE posts ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;
-- What joined a transferred call while its message was on its way is no longer looked for once Slack has it.
INSERT INTO updates (post, turn) SELECT DISTINCT p.id, 1 FROM posts p JOIN deliveries d ON d.post = p.id AND d.part = 0
    JOIN routings r ON r.event = d.event JOIN marks m ON m.mark = r.thread AND m.event > p.newest AND m.event <> d.event
    WHERE p.state = 'open' ON CONFLICT DO NOTHING;
ALTER TABLE posts DROP COLUMN newest;
