-- Usage added up by function, hour and line of the statement.

-- name: add
-- Adds to one row.
INSERT INTO spending (account_id, function_name, hour_ms, line, calls, failed, billed_ms, cpu_us, instance_ms, cost)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account_id, function_name, hour_ms, line) DO UPDATE SET
    calls = calls + excluded.calls,
    failed = failed + excluded.failed,
    billed_ms = billed_ms + excluded.billed_ms,
    cpu_us = cpu_us + excluded.cpu_us,
    instance_ms = instance_ms + excluded.instance_ms,
    cost = cost + excluded.cost;

-- name: sums
-- Functions in order of name, each with its lines, summed over some hours.
SELECT function_name, line, sum(calls), sum(failed), sum(billed_ms), sum(cpu_us), sum(instance_ms), sum(cost)
FROM spending
WHERE account_id = :account_id AND hour_ms >= :from_ms AND hour_ms < :until_ms
    AND function_name > :after AND (:function = '' OR function_name = :function)
GROUP BY function_name, line
ORDER BY function_name, line
LIMIT :rows;

-- name: drop
-- Drops the rows of hours long ago.
DELETE FROM spending WHERE hour_ms < :before_ms;

-- name: put_tracked
-- What a tracking policy wants now. Gone with its function.
INSERT OR REPLACE INTO tracked (account_id, name, kind, qualifier, policy, number)
SELECT :account_id, :name, :kind, :qualifier, :policy, :number
WHERE EXISTS (SELECT 1 FROM functions WHERE account_id = :account_id AND name = :name);

-- name: all_tracked
-- What all tracking policies wanted last.
SELECT account_id, name, kind, qualifier, policy, number FROM tracked;
