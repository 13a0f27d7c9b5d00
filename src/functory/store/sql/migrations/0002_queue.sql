-- Durable work: tasks, and deliveries to destinations. State, place in line and concurrency slot of a piece of work are
-- one row, so that they cannot disagree. The states are those of `model.task.TaskState`.

CREATE TABLE queue_groups (
    id         INTEGER PRIMARY KEY,
    lane       INTEGER NOT NULL,
    account_id TEXT    NOT NULL CHECK (account_id <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    UNIQUE (lane, account_id, name)
) STRICT;

CREATE TABLE queue (
    id            INTEGER PRIMARY KEY,
    lane          INTEGER NOT NULL,
    group_id      INTEGER NOT NULL,
    key           TEXT    NOT NULL CHECK (key <> ''),
    state         INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3, 10, 11, 12, 13)),
    priority      INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    rank          INTEGER,           -- place in line; NULL unless it may be leased now
    due_ms        INTEGER NOT NULL,  -- not before
    wake_ms       INTEGER NOT NULL,  -- when the sweep has to look: due, too old, lease over, or kept long enough
    expires_ms    INTEGER NOT NULL,  -- nothing is tried after this
    epoch         INTEGER NOT NULL,  -- counts leases: the fence of every change
    owner         TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    deferrals     INTEGER NOT NULL DEFAULT 0,
    crashes       INTEGER NOT NULL DEFAULT 0,
    created_ms    INTEGER NOT NULL,
    started_ms    INTEGER NOT NULL DEFAULT 0,
    ended_ms      INTEGER NOT NULL DEFAULT 0,
    request_id    TEXT    NOT NULL,
    qualifier     TEXT    NOT NULL,
    error_type    TEXT    NOT NULL DEFAULT '',
    error         TEXT    NOT NULL DEFAULT '',
    instance_id   TEXT    NOT NULL DEFAULT '',
    progress      TEXT    NOT NULL DEFAULT '',
    history       TEXT    NOT NULL,  -- a JSON list a line: state, time, detail
    head          BLOB    NOT NULL,
    payload       BLOB    NOT NULL,
    payload_ref   TEXT    NOT NULL,
    payload_bytes INTEGER NOT NULL,
    result        BLOB    NOT NULL DEFAULT x'',
    result_ref    TEXT    NOT NULL DEFAULT '',
    result_bytes  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (group_id, key),
    CHECK (rank IS NULL OR state IN (0, 1)),
    CHECK ((owner IS NOT NULL) = (state IN (2, 3))),
    CHECK ((ended_ms > 0) = (state >= 10))
) STRICT;

-- What may be leased, in the order of leasing.
CREATE INDEX queue_line ON queue (group_id, rank) WHERE rank IS NOT NULL;
-- Who holds a slot. Few rows at any time.
CREATE INDEX queue_held ON queue (group_id) WHERE state IN (2, 3);
-- What the sweep has to look at next.
CREATE INDEX queue_wake ON queue (lane, wake_ms);
-- Lists, in the order of acceptance; those that did not succeed are few and looked for most.
CREATE INDEX queue_list ON queue (group_id);
CREATE INDEX queue_unsuccessful ON queue (group_id, state) WHERE state > 10;
