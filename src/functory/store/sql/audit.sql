-- name: add
-- One event.
INSERT INTO audit (account_id, changes, body) VALUES (?, ?, ?);

-- name: list
-- The newest of an account before an id.
SELECT id, body FROM audit
WHERE account_id = :account_id AND id < :before AND (changes = 1 OR NOT :changes_only)
ORDER BY id DESC LIMIT :limit;

-- name: trim
-- Drops all of a kind but the newest `keep`.
DELETE FROM audit WHERE changes = :changes AND id <= (
    SELECT id FROM audit WHERE changes = :changes ORDER BY id DESC LIMIT 1 OFFSET :keep
);
