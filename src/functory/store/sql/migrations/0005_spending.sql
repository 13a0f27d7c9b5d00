-- Usage added up by hour: the statement. It outlives records and functions.
CREATE TABLE spending (
    account_id    TEXT    NOT NULL,
    function_name TEXT    NOT NULL,
    hour_ms       INTEGER NOT NULL CHECK (hour_ms % 3600000 = 0),
    line          TEXT    NOT NULL CHECK (line IN ('onDemand', 'provisioned', 'standing')),
    calls         INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    billed_ms     INTEGER NOT NULL,
    cpu_us        INTEGER NOT NULL,
    instance_ms   INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    PRIMARY KEY (account_id, function_name, hour_ms, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX spending_by_hour ON spending (hour_ms);

-- How many instances each tracking policy wanted last: where a restart goes on.
CREATE TABLE tracked (
    account_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    qualifier  TEXT    NOT NULL,
    policy     TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 0),
    PRIMARY KEY (account_id, name, kind, qualifier, policy),
    FOREIGN KEY (account_id, name) REFERENCES functions (account_id, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
