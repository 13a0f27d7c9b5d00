-- The database of the first version (schema 1), as it left it: one key, one function with a variable, one call.
PRAGMA page_size=8192;
BEGIN TRANSACTION;

-- Table  access_keys
DROP TABLE IF EXISTS access_keys;
CREATE TABLE access_keys (
    access_key_id TEXT    PRIMARY KEY CHECK (access_key_id <> ''),
    account_id    TEXT    NOT NULL CHECK (account_id <> ''),
    scope         TEXT    NOT NULL CHECK (scope IN ('admin', 'deploy', 'invoke', 'read')),
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    sealed        BLOB    NOT NULL
) STRICT;
INSERT INTO access_keys VALUES('FKaf973f1291fc3558f7d939','7882033292423759','admin',1,1795464512830,X'AFE2843B430BC3241BADCC2002DC2DE8B20A1BC98D4BF33089C51E2A3E6E4BCD5AAF06837568A634DC6A0208DEF15E6E875BD8DDF9660D6433D6CD40ECF86246B1F52977B124697446D39471');

-- Table  functions
DROP TABLE IF EXISTS functions;
CREATE TABLE functions (
    account_id  TEXT    NOT NULL CHECK (account_id <> ''),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^A-Za-z0-9_-]*'
                                        AND name GLOB '[A-Za-z_]*'),
    function_id TEXT    NOT NULL CHECK (function_id <> ''),
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (account_id, name)
) STRICT;
INSERT INTO functions VALUES('7882033292423759','old','76a889c65d5ab559f42d284d64eed722',1,'{"account_id":"7882033292423759","name":"old","function_id":"76a889c65d5ab559f42d284d64eed722","runtime":"python3","handler":"index.handler","memory_mb":128,"cpu":0.1,"disk_mb":512,"timeout_s":5,"instance_concurrency":1,"idle_timeout_s":0,"description":"","environment":{"SECRET":"kept"},"layers":[],"initializer":null,"pre_stop":null,"code_digest":"0f9993d71270c57b8557eec3aba9bb198dbc717a6135a38718b2059fce764e7f","code_checksum":"16244033588357022965","code_size_bytes":200,"created_at_ms":1795464513145,"modified_at_ms":1795464513145,"epoch":1,"note":"","official":{}}');

-- Table  layers
DROP TABLE IF EXISTS layers;
CREATE TABLE layers (
    key         TEXT    PRIMARY KEY CHECK (key <> ''),
    arn         TEXT    NOT NULL CHECK (arn <> ''),
    digest      TEXT    NOT NULL CHECK (digest <> ''),
    size_bytes  INTEGER NOT NULL CHECK (size_bytes >= 0),
    built_at_ms INTEGER NOT NULL
) STRICT;
-- Triggers and indices on  layers
CREATE INDEX layers_by_arn ON layers (arn);

-- Table  records_20261123
DROP TABLE IF EXISTS records_20261123;
CREATE TABLE records_20261123 (
    account_id    TEXT    NOT NULL,
    function_name TEXT    NOT NULL,
    first         INTEGER NOT NULL,
    last          INTEGER NOT NULL,
    count         INTEGER NOT NULL CHECK (count BETWEEN 1 AND 1000),
    failed        INTEGER NOT NULL CHECK (failed BETWEEN 0 AND count),
    body          BLOB    NOT NULL,
    CHECK (first <= last)
) STRICT;
INSERT INTO records_20261123 VALUES('7882033292423759','old',3855730682231783426,3855730682231783426,1,0,X'91DC0015D920312D36623034396434312D64633961633536622D303030303030303030303032B037383832303333323932343233373539A36F6C64A64C415445535401A473796E63CF000001A20A06467C00A0BA632D306564626535626466396337336136626363356661643963CD0AFC5501CC80CE00ADD0003583A7666F726B5F7573CD068AA9696D706F72745F7573CD024DA7696E69745F757300CC980105A0');
-- Triggers and indices on  records_20261123
CREATE INDEX records_20261123_by_account ON records_20261123 (account_id, last);
CREATE INDEX records_20261123_by_function ON records_20261123 (account_id, function_name, last);
CREATE INDEX records_20261123_failed ON records_20261123 (account_id, last) WHERE failed > 0;

-- Table  secrets
DROP TABLE IF EXISTS secrets;
CREATE TABLE secrets (
    name          TEXT    PRIMARY KEY CHECK (name <> ''),
    created_at_ms INTEGER NOT NULL,
    sealed        BLOB    NOT NULL
) STRICT;
INSERT INTO secrets VALUES('call-tokens',1795464512831,X'336941A150516E161925573804D254CA76F6ECB94B4E7B3CE405456B44A1F3FA72CB215571804DAF2F64F6289E302B5CB413E10257AF01478A161BB8');
INSERT INTO secrets VALUES('code-links',1795464512833,X'213310174B267790AE962BBE92CA0D10868E74FB2A00027B3D4F569D987A8CBFE4F560AC20D10505D2CD3F68703D07E62BD5C67AA28A43CE0CA01732');

-- Database header
pragma user_version=1;
pragma application_id=1182101091;

COMMIT TRANSACTION;
