-- Whether the inbox stored the event for the workers of separate events, which take long and hold up no others.
ALTER TABLE mesh.inbox ADD COLUMN separate boolean NOT NULL DEFAULT false;

CREATE INDEX inbox_pending_of_workers ON mesh.inbox (separate, sequence) WHERE state = 'pending';
DROP INDEX mesh.inbox_pending;

-- Locks up to `aggregates` aggregates with events that are due until the end of the transaction, and returns the first
-- pending events of theirs, at most `aggregates` together. It takes aggregates whose first pending event is for these
-- workers.
--
-- The first pending event of an aggregate, due or not, holds back the later ones. Whoever has locked it has the
-- aggregate: an event that another worker has locked is still pending, so its aggregate waits.
--
-- A replay makes an event pending that precedes the first one. So the dead letters of the aggregate are locked too, and
-- a replay leaves out those that are locked. The next statement sees the replays that committed before: an aggregate in
-- which an event precedes the locked one is left to those who lock that.
--
-- The plans have to follow the indexes in their order, and stop at the limit. One that was made while the table was
-- small would read and sort the whole backlog for each batch, long after it has grown.
CREATE FUNCTION mesh.take_events(aggregates integer, is_separate boolean) RETURNS SETOF mesh.inbox LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    heads bigint[];
    names text[];
BEGIN
    SELECT array_agg(head.sequence ORDER BY head.sequence), array_agg(head.aggregate) INTO heads, names FROM (
        SELECT event.sequence, event.aggregate FROM mesh.inbox AS event
        WHERE state = 'pending' AND separate = is_separate AND due_at <= now() AND sequence = (
            SELECT min(sequence) FROM mesh.inbox WHERE state = 'pending' AND aggregate = event.aggregate
        )
        ORDER BY sequence LIMIT aggregates FOR UPDATE SKIP LOCKED
    ) AS head;
    PERFORM FROM mesh.inbox WHERE state = 'dead' AND aggregate = ANY (names) FOR UPDATE;
    RETURN QUERY
    SELECT event.* FROM unnest(heads, names) AS head (sequence, aggregate)
    CROSS JOIN LATERAL (
        SELECT * FROM mesh.inbox WHERE state = 'pending' AND aggregate = head.aggregate
        ORDER BY sequence LIMIT aggregates
    ) AS event
    WHERE head.sequence = (SELECT min(sequence) FROM mesh.inbox WHERE state = 'pending' AND aggregate = head.aggregate)
    ORDER BY sequence LIMIT aggregates;
END
$$;

-- Replicas of the version before store no separate events, and take none.
CREATE OR REPLACE FUNCTION mesh.take_events(aggregates integer) RETURNS SETOF mesh.inbox LANGUAGE sql
AS $$ SELECT * FROM mesh.take_events(aggregates, false) ORDER BY sequence $$;
