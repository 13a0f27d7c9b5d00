-- Records and logs lie in tables per day (UTC), so that retention drops whole days. `{day}` is YYYYMMDD.
-- A row is a chunk: up to 1,000 records of one function, packed. `first` and `last` bound the places of its requests
-- (`ids.request_order`); a chunk never reaches over the end of a minute, so few chunks overlap a given place.

-- name: create_records
-- The table of a day's records.
CREATE TABLE IF NOT EXISTS records_{day} (
    account_id    TEXT    NOT NULL,
    function_name TEXT    NOT NULL,
    first         INTEGER NOT NULL,
    last          INTEGER NOT NULL,
    count         INTEGER NOT NULL CHECK (count BETWEEN 1 AND 1000),
    failed        INTEGER NOT NULL CHECK (failed BETWEEN 0 AND count),
    body          BLOB    NOT NULL,
    CHECK (first <= last)
) STRICT;
CREATE INDEX IF NOT EXISTS records_{day}_by_account ON records_{day} (account_id, last);
CREATE INDEX IF NOT EXISTS records_{day}_by_function ON records_{day} (account_id, function_name, last);
CREATE INDEX IF NOT EXISTS records_{day}_failed ON records_{day} (account_id, last) WHERE failed > 0;

-- name: create_logs
-- The table of a day's logs. `function_name` holds account and name, `1234/echo`: no two accounts share a chunk.
CREATE TABLE IF NOT EXISTS logs_{day} (
    function_name TEXT    NOT NULL,
    first         INTEGER NOT NULL,
    last          INTEGER NOT NULL,
    count         INTEGER NOT NULL CHECK (count BETWEEN 1 AND 1000),
    body          BLOB    NOT NULL,
    CHECK (first <= last)
) STRICT;
CREATE INDEX IF NOT EXISTS logs_{day}_by_time ON logs_{day} (last);
CREATE INDEX IF NOT EXISTS logs_{day}_by_function ON logs_{day} (function_name, last);

-- name: add_records
-- One chunk of records.
INSERT INTO records_{day} (account_id, function_name, first, last, count, failed, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_logs
-- One chunk of logs.
INSERT INTO logs_{day} (function_name, first, last, count, body) VALUES (?, ?, ?, ?, ?);

-- name: days
-- The tables that exist.
SELECT name FROM sqlite_schema
WHERE type = 'table' AND (name GLOB 'records_[0-9]*' OR name GLOB 'logs_[0-9]*');

-- name: newest
-- An account's chunks that begin before a place, the latest end first. No chunk crosses a minute, so that
-- `minute_end`, the end of the place's minute, lets the index skip all that is newer.
SELECT last, body FROM records_{day} WHERE account_id = :account_id AND last <= :minute_end AND first <= :place
ORDER BY last DESC;

-- name: newest_failed
-- The same, only chunks that hold a failure.
SELECT last, body FROM records_{day}
WHERE account_id = :account_id AND last <= :minute_end
    AND first <= :place AND failed > 0
ORDER BY last DESC;

-- name: newest_of_function
-- One function's chunks that begin before a place, the latest end first.
SELECT last, body FROM records_{day}
WHERE account_id = :account_id AND function_name = :function_name AND last <= :minute_end AND first <= :place
ORDER BY last DESC;

-- name: newest_failed_of_function
-- The same, only chunks that hold a failure.
SELECT last, body FROM records_{day}
WHERE account_id = :account_id AND function_name = :function_name AND last <= :minute_end
    AND first <= :place AND failed > 0
ORDER BY last DESC;

-- name: records_at
-- The chunks that may hold the record of one request: `minute_end` bounds the scan, as no chunk crosses a minute.
SELECT body FROM records_{day}
WHERE account_id = :account_id AND last BETWEEN :place AND :minute_end AND first <= :place;

-- name: logs_at
-- The chunks that may hold the logs of one request.
SELECT last, rowid, body FROM logs_{day} WHERE last BETWEEN :place AND :minute_end AND first <= :place;

-- name: logs_of_function
-- One function's chunks of logs that begin before a place, the latest end first.
SELECT last, rowid, body FROM logs_{day}
WHERE function_name = :function_name AND last <= :minute_end AND first <= :place
ORDER BY last DESC, rowid DESC;

-- name: drop_records
-- Drops a day's records.
DROP TABLE IF EXISTS records_{day};

-- name: drop_logs
-- Drops a day's logs.
DROP TABLE IF EXISTS logs_{day};
