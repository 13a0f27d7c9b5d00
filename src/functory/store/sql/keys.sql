-- name: put_key
-- Adds or replaces an access key.
INSERT INTO access_keys (access_key_id, account_id, scope, active, created_at_ms, label, sealed)
VALUES (:access_key_id, :account_id, :scope, :active, :created_at_ms, :label, :sealed)
ON CONFLICT (access_key_id) DO UPDATE SET
    account_id = excluded.account_id, scope = excluded.scope, active = excluded.active,
    created_at_ms = excluded.created_at_ms, label = excluded.label, sealed = excluded.sealed;

-- name: all_keys
-- Every access key, its secret still sealed.
SELECT access_key_id, sealed, account_id, scope, active, created_at_ms, label FROM access_keys ORDER BY access_key_id;

-- name: delete_key
-- Removes a key.
DELETE FROM access_keys WHERE access_key_id = :access_key_id;

-- name: add_secret
-- Stores a secret of the node; changes no row if there is one of this name.
INSERT INTO secrets (name, created_at_ms, sealed) VALUES (:name, :created_at_ms, :sealed)
ON CONFLICT (name) DO NOTHING;

-- name: get_secret
-- A secret of the node, sealed.
SELECT sealed FROM secrets WHERE name = :name;
