-- Locks up to `aggregates` aggregates with events that are due until the end of the transaction, and returns the first
-- pending events of theirs, at most `aggregates` together.
--
-- The first pending event of an aggregate, due or not, holds back the later ones. Whoever has locked it has the
-- aggregate: an event that another worker has locked is still pending, so its aggregate waits.
--
-- The plan has to follow the indexes in their order, and stop at the limit. One that was made while the table was small
-- would read and sort the whole backlog for each batch, long after it has grown.
CREATE FUNCTION mesh.take_events(aggregates integer) RETURNS SETOF mesh.inbox LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
    RETURN QUERY
    WITH head AS MATERIALIZED (
        SELECT event.aggregate FROM mesh.inbox AS event
        WHERE state = 'pending' AND due_at <= now() AND sequence = (
            SELECT min(sequence) FROM mesh.inbox WHERE state = 'pending' AND aggregate = event.aggregate
        )
        ORDER BY sequence LIMIT aggregates FOR UPDATE SKIP LOCKED
    )
    SELECT event.* FROM head CROSS JOIN LATERAL (
        SELECT * FROM mesh.inbox WHERE state = 'pending' AND aggregate = head.aggregate
        ORDER BY sequence LIMIT aggregates
    ) AS event
    ORDER BY sequence LIMIT aggregates;
END
$$;
