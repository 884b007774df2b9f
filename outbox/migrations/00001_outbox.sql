-- +goose Up

-- What Allo said, as it came, and what this program has to say itself (kind 'note').
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL, -- 'allo' or 'note'
    topic       TEXT    NOT NULL,
    fate        TEXT    NOT NULL, -- 'routed', 'muted' or 'unrouted'
    received_at INTEGER NOT NULL, -- milliseconds since 1970
    happened_at INTEGER NOT NULL, -- received_at where it is not known
    body        BLOB    NOT NULL,
    subject     TEXT    NOT NULL DEFAULT '', -- what it tells the whole state of
    before      BLOB,                        -- the envelope that told the subject's state before; NULL if there was none
    about       TEXT    NOT NULL DEFAULT '', -- the key of the event that it adds to
    recovered   INTEGER NOT NULL DEFAULT 0,  -- 1: it never came, but was found
    thread      TEXT    NOT NULL DEFAULT '', -- what else belongs together with it has the same
    thread_for  INTEGER NOT NULL DEFAULT 0,  -- how long a thread is gone on with, in milliseconds after its last message; 0: always
    asks        TEXT    NOT NULL DEFAULT '', -- whom it leaves waiting for an answer
    answers     TEXT    NOT NULL DEFAULT '', -- whom it is an answer to
    answer      INTEGER                      -- the event that answered what this one asks
);
CREATE INDEX events_received ON events (received_at);
CREATE INDEX events_thread ON events (thread, happened_at) WHERE thread <> '';
CREATE INDEX events_about ON events (about, id) WHERE about <> '';
CREATE INDEX events_asks ON events (asks, happened_at) WHERE asks <> '' AND answer IS NULL;
CREATE INDEX events_answers ON events (answers, happened_at) WHERE answers <> '';

-- What a repeat of an event is recognised by.
CREATE TABLE dedupe (
    key   TEXT    NOT NULL PRIMARY KEY,
    event INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    at    INTEGER NOT NULL,
    said  TEXT    NOT NULL DEFAULT '' -- what recognises a repeat that says the very same
) WITHOUT ROWID;
CREATE INDEX dedupe_event ON dedupe (event);

-- The last known state of what tells its whole state at each change: contacts.
CREATE TABLE subjects (
    subject TEXT    NOT NULL PRIMARY KEY,
    state   TEXT    NOT NULL, -- a digest of body
    body    BLOB    NOT NULL, -- the envelope that told it
    at      INTEGER NOT NULL
) WITHOUT ROWID;

-- A post is one message to Slack, committed before it is first tried. What it holds never changes until it is settled.
CREATE TABLE posts (
    id            TEXT    NOT NULL PRIMARY KEY, -- opaque; the message's metadata carries it
    channel       TEXT    NOT NULL,             -- Slack's id
    thread        TEXT    NOT NULL DEFAULT '',  -- the ts that it is a reply to; '' is the top of the channel
    form          TEXT    NOT NULL,             -- 'message', 'digest' or 'plain'
    state         TEXT    NOT NULL,             -- 'open', 'sent' or 'refused'
    doubt         INTEGER NOT NULL,             -- 1 while Slack may have it and we don't know
    attempts      INTEGER NOT NULL,
    first_attempt INTEGER NOT NULL,
    last_attempt  INTEGER NOT NULL,
    ts            TEXT    NOT NULL DEFAULT ''   -- Slack's, once sent
);
-- One post at a time in a channel: this is what keeps the order.
CREATE UNIQUE INDEX posts_open ON posts (channel) WHERE state = 'open';
CREATE INDEX posts_settled ON posts (last_attempt) WHERE state <> 'open';

-- One event on its way to one channel. The order of ids is the order in the channel.
CREATE TABLE deliveries (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    event   INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    part    INTEGER NOT NULL DEFAULT 0, -- 0 is the event's message; 1 and more are what follows it in its thread
    channel TEXT    NOT NULL, -- Slack's id, or as the rule has it until Slack was asked
    reply   TEXT    NOT NULL DEFAULT '', -- of a part: the ts of the message that it follows
    rule    TEXT    NOT NULL,
    options TEXT    NOT NULL, -- the rule's, as JSON
    state   TEXT    NOT NULL, -- 'waiting', 'posting', 'sent' or 'aside'
    alone   INTEGER NOT NULL DEFAULT 0, -- 1: never again in a digest
    post    TEXT    REFERENCES posts (id),
    reason  TEXT    NOT NULL DEFAULT '', -- why it was set aside
    told    INTEGER NOT NULL DEFAULT 0,  -- 1: that it was set aside was told
    at      INTEGER NOT NULL,            -- since when it waits; when it was sent or set aside
    UNIQUE (event, channel, part)
);
-- Events go before the parts that follow others, so that a long transcript holds up no missed call.
CREATE INDEX deliveries_waiting ON deliveries (channel, part > 0, id) WHERE state = 'waiting';
CREATE INDEX deliveries_aside ON deliveries (channel, id) WHERE state = 'aside';
CREATE INDEX deliveries_untold ON deliveries (channel, id) WHERE state = 'aside' AND told = 0;
CREATE INDEX deliveries_post ON deliveries (post) WHERE post IS NOT NULL;

-- Which message of a channel what belongs together replies to.
CREATE TABLE threads (
    thread  TEXT    NOT NULL,
    channel TEXT    NOT NULL,
    ts      TEXT    NOT NULL,
    post    TEXT    NOT NULL, -- the one that opened it
    at      INTEGER NOT NULL, -- when something was last posted in it
    PRIMARY KEY (thread, channel)
) WITHOUT ROWID;
CREATE INDEX threads_at ON threads (at);

-- Posts that Slack has and that have something new to say.
CREATE TABLE updates (
    post TEXT    NOT NULL PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    turn INTEGER NOT NULL -- grows each time there is something new
) WITHOUT ROWID;

-- Slack's users by email; id is '' for an email that Slack doesn't know.
CREATE TABLE users (
    email TEXT    NOT NULL PRIMARY KEY,
    id    TEXT    NOT NULL,
    at    INTEGER NOT NULL
) WITHOUT ROWID;

-- Which id a channel's name stands for. Names change in Slack, ids don't.
CREATE TABLE channels (
    ref  TEXT NOT NULL PRIMARY KEY, -- as a rule has it: '#support', or an id
    id   TEXT NOT NULL,
    name TEXT NOT NULL              -- as Slack had it when it was asked
) WITHOUT ROWID;

-- When each channel was last written to; the row '' is the workspace: its bucket, and until when Slack wants peace.
CREATE TABLE pace (
    channel TEXT    NOT NULL PRIMARY KEY,
    last    INTEGER NOT NULL,
    tokens  REAL    NOT NULL DEFAULT 0,
    paused  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Why a channel is stuck, and since when.
CREATE TABLE troubles (
    channel TEXT    NOT NULL PRIMARY KEY,
    reason  TEXT    NOT NULL,
    since   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
