-- `{table}` is function_parts or account_parts: which, the kind decides.

-- name: function
-- A function's current revision.
SELECT body FROM functions WHERE account_id = ? AND name = ?;

-- name: next_version
-- The next number of a version.
UPDATE functions SET last_version = last_version + 1 WHERE account_id = ? AND name = ? RETURNING last_version;

-- name: get
-- One row.
SELECT body FROM {table} WHERE kind = ? AND account_id = ? AND name = ? AND key = ?;

-- name: put
-- Adds or replaces a row.
INSERT INTO {table} (kind, account_id, name, key, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, account_id, name, key) DO UPDATE SET body = excluded.body;

-- name: delete
-- Removes a row.
DELETE FROM {table} WHERE kind = ? AND account_id = ? AND name = ? AND key = ?;

-- name: page
-- Rows of an account in order.
SELECT body FROM {table} WHERE kind = :kind AND account_id = :account_id AND (name, key) > (:after_name, :after_key)
ORDER BY name, key LIMIT :limit;

-- name: page_of
-- Rows of one function in order.
SELECT body FROM {table} WHERE kind = :kind AND account_id = :account_id AND name = :name
    AND (name, key) > (:after_name, :after_key)
ORDER BY key LIMIT :limit;

-- name: page_of_backwards
-- Rows of one function, the last first; an empty `after_name` = from the end.
SELECT body FROM {table} WHERE kind = :kind AND account_id = :account_id AND name = :name
    AND (:after_name = '' OR (name, key) < (:after_name, :after_key))
ORDER BY key DESC LIMIT :limit;

-- name: count
-- How many rows of one kind a function has.
SELECT count(*) FROM {table} WHERE kind = ? AND account_id = ? AND name = ?;

-- name: every
-- All rows of a kind.
SELECT body FROM {table} WHERE kind = ? ORDER BY account_id, name, key;

-- name: versions_in_clear
-- Versions whose environment variables are not sealed.
SELECT account_id, name, key, body FROM function_parts
WHERE kind = 'version' AND json_extract(body, '$.function.environment') <> '{}';
