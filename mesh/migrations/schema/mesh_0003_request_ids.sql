-- The id of the request that caused an event, to correlate the logs of the event's consumers with those of the request.
ALTER TABLE mesh.outbox ADD COLUMN request_id text;
ALTER TABLE mesh.inbox ADD COLUMN request_id text;
