-- name: put
-- Remembers what was built for a key.
INSERT INTO layers (key, arn, digest, size_bytes, built_at_ms)
VALUES (:key, :arn, :digest, :size_bytes, :built_at_ms)
ON CONFLICT (key) DO UPDATE SET
    arn = excluded.arn, digest = excluded.digest, size_bytes = excluded.size_bytes, built_at_ms = excluded.built_at_ms;

-- name: get
-- The layer built for a key.
SELECT arn, digest, size_bytes FROM layers WHERE key = :key;

-- name: by_arn
-- The newest layer of this name.
SELECT arn, digest, size_bytes FROM layers WHERE arn = :arn ORDER BY built_at_ms DESC, key LIMIT 1;
