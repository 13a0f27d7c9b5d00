-- name: insert
-- Adds a domain; changes no row if the name is taken, by whichever account.
INSERT INTO domains (name, account_id, epoch, body, sealed) VALUES (:name, :account_id, :epoch, :body, :sealed)
ON CONFLICT (name) DO NOTHING;

-- name: replace
-- The compare-and-set of a change: changes no row if the stored revision is not the one before `epoch`.
UPDATE domains SET epoch = :epoch, body = :body, sealed = :sealed
WHERE name = :name AND account_id = :account_id AND epoch = :epoch - 1;

-- name: delete
-- Removes a domain and answers what it was.
DELETE FROM domains WHERE name = :name AND account_id = :account_id RETURNING body, sealed;

-- name: get
-- The current revision.
SELECT body, sealed FROM domains WHERE name = :name AND account_id = :account_id;

-- name: list
-- A page of an account's domains in order of name.
SELECT body, sealed FROM domains
WHERE account_id = :account_id AND name > :after AND name >= :prefix AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name LIMIT :limit;

-- name: all
-- Every domain of every account.
SELECT body, sealed FROM domains ORDER BY name;
