-- The durable queue. States are numbers of `model.task.TaskState`: 0 Enqueued, 1 Retrying, 2 Running, 3 Stopping, 10 and
-- above ended. Every change of a state is a compare-and-set on (state, epoch): `1 << state & sources` is the first half.

-- name: groups
-- All groups.
SELECT id, lane, account_id, name FROM queue_groups;

-- name: add_group
-- A group; harmless if it is there.
INSERT INTO queue_groups (id, lane, account_id, name) VALUES (?, ?, ?, ?)
ON CONFLICT (lane, account_id, name) DO NOTHING;

-- name: group_id
-- The number of a group.
SELECT id FROM queue_groups WHERE lane = ? AND account_id = ? AND name = ?;

-- name: last_id
-- The largest id given.
SELECT coalesce(max(id), 0) FROM queue;

-- name: put
-- A new row; changes none if the group has the key already.
INSERT INTO queue (
    id, lane, group_id, key, state, priority, rank, due_ms, wake_ms, expires_ms, epoch, owner, created_ms, started_ms,
    request_id, qualifier, history, head, payload, payload_ref, payload_bytes
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (group_id, key) DO NOTHING;

-- name: held
-- How many slots each group holds.
SELECT group_id, count(*) FROM queue INDEXED BY queue_held WHERE state IN (2, 3) GROUP BY group_id;

-- name: lease
-- Takes the first of a group's line: the state, the place in line and the slot change in one row.
UPDATE queue SET
    state = 2, rank = NULL, epoch = epoch + 1, owner = :owner, wake_ms = :until,
    started_ms = iif(started_ms, started_ms, :now), history = history || :event
WHERE id IN (SELECT id FROM queue WHERE group_id = :group_id AND rank IS NOT NULL ORDER BY rank, id LIMIT :count)
RETURNING
    id, group_id, key, epoch, request_id, qualifier, priority, attempts, deferrals, crashes, created_ms, due_ms,
    expires_ms, head, payload, payload_ref, payload_bytes;

-- name: extend
-- Keeps a lease; changes no row if it is lost.
UPDATE queue SET wake_ms = ? WHERE id = ? AND epoch = ? AND state IN (2, 3);

-- name: lease_state
-- Whether a lease stands, and whether it is to be ended.
SELECT state FROM queue WHERE id = ? AND epoch = ? AND state IN (2, 3);

-- name: end
-- The end. `keep` says how long the row stays.
UPDATE queue SET
    state = ?, rank = NULL, owner = NULL, wake_ms = ?, ended_ms = ?,
    attempts = attempts + ?, deferrals = deferrals + ?, crashes = crashes + ?, error_type = ?, error = ?,
    instance_id = ?, result = ?, result_ref = ?, result_bytes = ?, history = history || ?
WHERE id = ? AND epoch = ? AND (1 << state) & ?;

-- name: back
-- Back to waiting: in line if it is due now (`now` is given twice), else once the sweep finds it due.
UPDATE queue SET
    state = ?1, rank = iif(?2 <= ?3, ?2 + priority * 60000, NULL), owner = NULL, due_ms = ?2,
    wake_ms = iif(?2 <= ?3, expires_ms, min(?2, expires_ms)),
    attempts = attempts + ?4, deferrals = deferrals + ?5, crashes = crashes + ?6, error_type = ?7, error = ?8,
    instance_id = ?9, history = iif(length(history) < 16384, history || ?10, history)
WHERE id = ?11 AND epoch = ?12 AND (1 << state) & ?13;

-- name: stopping
-- A held row is to be ended; its lease goes on.
UPDATE queue SET state = 3, history = history || ? WHERE id = ? AND epoch = ? AND state = 2;

-- name: state_of
-- State and epoch of a row.
SELECT state, epoch FROM queue WHERE id = ?;

-- name: progress
-- What a running task says of itself.
UPDATE queue SET progress = ? WHERE id = ? AND epoch = ? AND state IN (2, 3);

-- name: promote
-- Delayed rows whose time has come take their place in line.
UPDATE queue SET rank = due_ms + priority * 60000, wake_ms = expires_ms
WHERE id IN (
    SELECT id FROM queue INDEXED BY queue_wake
    WHERE lane = :lane AND wake_ms <= :now AND state IN (0, 1) AND rank IS NULL AND due_ms <= :now AND expires_ms > :now
    ORDER BY wake_ms LIMIT :limit
)
RETURNING group_id;

-- name: purge
-- Ended rows that were kept long enough.
DELETE FROM queue WHERE id IN (
    SELECT id FROM queue INDEXED BY queue_wake WHERE lane = :lane AND wake_ms <= :now AND state >= 10
    ORDER BY wake_ms LIMIT :limit
)
RETURNING payload_ref, result_ref;

-- name: overdue
-- Rows that somebody has to decide about: too old, or held under a lease that is over.
SELECT {columns} FROM queue INDEXED BY queue_wake
WHERE lane = :lane AND wake_ms <= :now AND (state IN (2, 3) OR state IN (0, 1) AND expires_ms <= :now)
    AND (wake_ms, id) > (:after_ms, :after_id)
ORDER BY wake_ms, id LIMIT :limit;

-- name: next_wake
-- When the sweep has to look next.
SELECT min(wake_ms) FROM queue WHERE lane = ? AND wake_ms > ?;

-- name: lost
-- Rows held by earlier starts of a node.
SELECT {columns} FROM queue INDEXED BY queue_held
WHERE state IN (2, 3) AND lane = :lane AND owner >= :node AND substr(owner, 1, length(:node)) = :node
    AND owner <> :owner AND id > :after_id
ORDER BY id LIMIT :limit;

-- name: lines
-- The groups that have a line. Skips from group to group instead of reading every row.
WITH RECURSIVE found (group_id) AS (
    SELECT min(group_id) FROM queue INDEXED BY queue_line WHERE rank IS NOT NULL
    UNION ALL
    SELECT (SELECT min(group_id) FROM queue INDEXED BY queue_line WHERE rank IS NOT NULL AND group_id > found.group_id)
    FROM found WHERE found.group_id IS NOT NULL
)
SELECT group_id FROM found WHERE group_id IS NOT NULL;

-- name: get
-- A whole row by its key.
SELECT {columns} FROM queue WHERE group_id = ? AND key = ?;

-- name: get_id
-- A whole row by its id.
SELECT {columns} FROM queue WHERE id = ?;

-- name: list
-- A page of a group's rows; the conditions are added by the caller.
SELECT {columns} FROM queue WHERE group_id = :group_id{where} ORDER BY id {order} LIMIT :limit;

-- name: counts
-- How many rows of a group stand in each state.
SELECT state, count(*) FROM queue WHERE group_id = ? GROUP BY state;

-- name: ahead
-- How many stand before a row in its group's line, counted up to a bound.
SELECT count(*) FROM (
    SELECT 1 FROM queue WHERE group_id = :group_id AND rank IS NOT NULL AND (rank, id) < (:rank, :id) LIMIT :limit
);

-- name: slots
-- How many slots a group holds.
SELECT count(*) FROM queue INDEXED BY queue_held WHERE group_id = ? AND state IN (2, 3);

-- name: oldest
-- When the first of a group's line became due.
SELECT due_ms FROM queue WHERE group_id = ? AND rank IS NOT NULL ORDER BY rank LIMIT 1;
