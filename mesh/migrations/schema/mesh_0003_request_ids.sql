-- The id of the request that caused an event, so that the log of who handles it can be joined with the request's.
ALTER TABLE mesh.outbox ADD COLUMN request_id text;
ALTER TABLE mesh.inbox ADD COLUMN request_id text;
