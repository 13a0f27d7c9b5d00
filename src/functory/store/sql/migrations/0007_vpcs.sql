-- VPCs of accounts and bindings of functions. Which kinds there are is the code's to say (`store.parts`): a list here
-- would have to be rebuilt with each new one.

CREATE TABLE function_parts_new (
    kind       TEXT NOT NULL CHECK (kind <> ''),
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (kind, account_id, name, key),
    FOREIGN KEY (account_id, name) REFERENCES functions (account_id, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

INSERT INTO function_parts_new SELECT kind, account_id, name, key, body FROM function_parts;
DROP TABLE function_parts;
ALTER TABLE function_parts_new RENAME TO function_parts;
CREATE INDEX function_parts_of ON function_parts (account_id, name);

CREATE TABLE account_parts_new (
    kind       TEXT NOT NULL CHECK (kind <> ''),
    account_id TEXT NOT NULL CHECK (account_id <> ''),
    name       TEXT NOT NULL,
    key        TEXT NOT NULL,
    body       TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (kind, account_id, name, key)
) STRICT, WITHOUT ROWID;

INSERT INTO account_parts_new SELECT kind, account_id, name, key, body FROM account_parts;
DROP TABLE account_parts;
ALTER TABLE account_parts_new RENAME TO account_parts;
