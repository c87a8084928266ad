-- The request or event that last gave the provider something to do: the calls and events that follow belong to it.
ALTER TABLE payments ADD COLUMN request_id text, ADD COLUMN traceparent text;
