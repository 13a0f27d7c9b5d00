-- What the first Functory stores. The CHECK constraints repeat the rules of the code: data that breaks them was not
-- written by it. Tables of records and logs are made per day, see requests.sql.

CREATE TABLE functions (
    account_id  TEXT    NOT NULL CHECK (account_id <> ''),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^A-Za-z0-9_-]*'
                                        AND name GLOB '[A-Za-z_]*'),
    function_id TEXT    NOT NULL CHECK (function_id <> ''),
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (account_id, name)
) STRICT;

CREATE TABLE access_keys (
    access_key_id TEXT    PRIMARY KEY CHECK (access_key_id <> ''),
    account_id    TEXT    NOT NULL CHECK (account_id <> ''),
    scope         TEXT    NOT NULL CHECK (scope IN ('admin', 'deploy', 'invoke', 'read')),
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    sealed        BLOB    NOT NULL
) STRICT;

CREATE TABLE secrets (
    name          TEXT    PRIMARY KEY CHECK (name <> ''),
    created_at_ms INTEGER NOT NULL,
    sealed        BLOB    NOT NULL
) STRICT;

CREATE TABLE layers (
    key         TEXT    PRIMARY KEY CHECK (key <> ''),
    arn         TEXT    NOT NULL CHECK (arn <> ''),
    digest      TEXT    NOT NULL CHECK (digest <> ''),
    size_bytes  INTEGER NOT NULL CHECK (size_bytes >= 0),
    built_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX layers_by_arn ON layers (arn);
