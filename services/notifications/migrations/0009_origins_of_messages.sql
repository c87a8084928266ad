-- The request or event that a message tells of.
ALTER TABLE outgoing_messages ADD COLUMN request_id text, ADD COLUMN traceparent text;
