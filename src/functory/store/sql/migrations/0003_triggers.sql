-- Triggers and custom domains. Triggers go with their function.

CREATE TABLE triggers (
    account_id    TEXT    NOT NULL,
    function_name TEXT    NOT NULL,
    name          TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128 AND name NOT GLOB '*[^A-Za-z0-9_-]*'),
    trigger_id    TEXT    NOT NULL UNIQUE CHECK (trigger_id <> ''),
    kind          TEXT    NOT NULL CHECK (kind <> ''),
    qualifier     TEXT    NOT NULL CHECK (qualifier <> ''),
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    fired_ms      INTEGER NOT NULL,  -- the last due time of a timer that was fired, or when its rule was last changed
    body          TEXT    NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (account_id, function_name, name),
    FOREIGN KEY (account_id, function_name) REFERENCES functions (account_id, name) ON DELETE CASCADE
) STRICT;

-- One HTTP trigger for each version or alias.
CREATE UNIQUE INDEX triggers_http ON triggers (account_id, function_name, qualifier) WHERE kind = 'http';

CREATE TABLE domains (
    name       TEXT    PRIMARY KEY CHECK (name <> '' AND name = lower(name)),
    account_id TEXT    NOT NULL CHECK (account_id <> ''),
    epoch      INTEGER NOT NULL CHECK (epoch >= 1),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    sealed     BLOB    -- the private key of its certificate
) STRICT;

CREATE INDEX domains_by_account ON domains (account_id, name);
