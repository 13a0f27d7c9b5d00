-- name: function_id
-- The function that a trigger belongs to.
SELECT function_id FROM functions WHERE account_id = :account_id AND name = :function_name;

-- name: count
-- How many triggers a function has, and how many of them are HTTP triggers of one qualifier but this one.
SELECT count(*), count(*) FILTER (WHERE kind = 'http' AND qualifier = :qualifier AND name <> :name) FROM triggers
WHERE account_id = :account_id AND function_name = :function_name;

-- name: insert
-- Adds a trigger; changes no row if the name is taken. A new timer is due after now, not since ever.
INSERT INTO triggers (account_id, function_name, name, trigger_id, kind, qualifier, epoch, fired_ms, body)
VALUES (:account_id, :function_name, :name, :trigger_id, :kind, :qualifier, :epoch, :fired_ms, :body)
ON CONFLICT (account_id, function_name, name) DO NOTHING;

-- name: replace
-- The compare-and-set of a change: changes no row if the stored revision is not the one before `epoch`.
UPDATE triggers SET epoch = :epoch, qualifier = :qualifier, body = :body, fired_ms = max(fired_ms, :fired_ms)
WHERE account_id = :account_id AND function_name = :function_name AND name = :name AND trigger_id = :trigger_id
  AND epoch = :epoch - 1;

-- name: claim
-- The compare-and-set of a fire: changes no row if this due time, or a later one, has been fired.
UPDATE triggers SET fired_ms = :due_ms WHERE trigger_id = :trigger_id AND epoch = :epoch AND fired_ms < :due_ms;

-- name: delete
-- Removes a trigger and answers what it was.
DELETE FROM triggers WHERE account_id = :account_id AND function_name = :function_name AND name = :name RETURNING body;

-- name: get
-- The current revision.
SELECT body FROM triggers WHERE account_id = :account_id AND function_name = :function_name AND name = :name;

-- name: list
-- A page of a function's triggers in order of name.
SELECT body FROM triggers
WHERE account_id = :account_id AND function_name = :function_name AND name > :after AND name >= :prefix
  AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name LIMIT :limit;

-- name: all
-- Every trigger of every account, with the last due time that was fired.
SELECT body, fired_ms FROM triggers ORDER BY account_id, function_name, name;
