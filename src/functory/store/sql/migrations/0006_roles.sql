-- Roles are rows of an account, as layers are. A CHECK cannot be changed in place, so the table is made anew.

CREATE TABLE account_parts_new (
    kind       TEXT NOT NULL CHECK (kind IN ('layer', 'layer_counter', 'account', 'role')),
    account_id TEXT NOT NULL CHECK (account_id <> ''),
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (kind, account_id, name, key)
) STRICT, WITHOUT ROWID;

INSERT INTO account_parts_new SELECT kind, account_id, name, key, body FROM account_parts;

DROP TABLE account_parts;

ALTER TABLE account_parts_new RENAME TO account_parts;
