-- What belongs to a function (versions, aliases, configurations) goes with it. What belongs to an account (layers, its
-- name) has the same shape, without a function. `key` orders the rows of one kind and function.

CREATE TABLE function_parts (
    kind       TEXT NOT NULL CHECK (kind IN ('version', 'alias', 'async', 'concurrency', 'provision', 'scaling')),
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (kind, account_id, name, key),
    FOREIGN KEY (account_id, name) REFERENCES functions (account_id, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX function_parts_of ON function_parts (account_id, name);

CREATE TABLE account_parts (
    kind       TEXT NOT NULL CHECK (kind IN ('layer', 'layer_counter', 'account')),
    account_id TEXT NOT NULL CHECK (account_id <> ''),
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (kind, account_id, name, key)
) STRICT, WITHOUT ROWID;

-- The number of the newest version ever published: numbers are never given again.
ALTER TABLE functions ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0 CHECK (last_version >= 0);

ALTER TABLE access_keys ADD COLUMN label TEXT NOT NULL DEFAULT '';

-- Who did what. Bounded: the oldest rows go, those that only looked apart from those that changed something.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT    NOT NULL,
    changes    INTEGER NOT NULL CHECK (changes IN (0, 1)),
    body       TEXT    NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE INDEX audit_of_account ON audit (account_id, id);
CREATE INDEX audit_of_kind ON audit (changes, id);
