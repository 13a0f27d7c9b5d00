-- name: insert
-- Adds a function; changes no row if the name is taken.
INSERT INTO functions (account_id, name, function_id, epoch, body)
VALUES (:account_id, :name, :function_id, :epoch, :body)
ON CONFLICT (account_id, name) DO NOTHING;

-- name: replace
-- The compare-and-set of a change: changes no row if the stored revision is not the one before `epoch`.
UPDATE functions SET epoch = :epoch, body = :body
WHERE account_id = :account_id AND name = :name AND function_id = :function_id AND epoch = :epoch - 1;

-- name: delete
-- Removes a function and answers what it was.
DELETE FROM functions WHERE account_id = :account_id AND name = :name RETURNING body;

-- name: get
-- The current revision.
SELECT body FROM functions WHERE account_id = :account_id AND name = :name;

-- name: list
-- A page in order of name. A range and `substr` instead of LIKE, for which '_' and '%' mean something else.
SELECT body FROM functions
WHERE account_id = :account_id AND name > :after AND name >= :prefix AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name LIMIT :limit;

-- name: all
-- Every function of every account.
SELECT body FROM functions ORDER BY account_id, name;

-- name: in_clear
-- Functions whose environment variables are not sealed.
SELECT account_id, name, body FROM functions WHERE json_extract(body, '$.environment') <> '{}';

-- name: reseal
-- The same revision, written in another way.
UPDATE functions SET body = :body WHERE account_id = :account_id AND name = :name;
