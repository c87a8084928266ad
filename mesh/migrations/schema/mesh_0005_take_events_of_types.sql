-- As mesh.take_events(aggregates), but takes only aggregates whose first pending event is of one of these types, or, if
-- they are not `included`, only the others. Events that take long have workers of their own, and hold up no others.
CREATE FUNCTION mesh.take_events(aggregates integer, types text[], included boolean)
RETURNS SETOF mesh.inbox LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
    RETURN QUERY
    WITH head AS MATERIALIZED (
        SELECT event.aggregate FROM mesh.inbox AS event
        WHERE state = 'pending' AND due_at <= now() AND (type = ANY (types)) = included AND sequence = (
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
