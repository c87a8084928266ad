-- When an endpoint was enabled: deliveries that waited before that do not count against the limit on those that wait.
ALTER TABLE webhook_endpoints ADD COLUMN enable_time timestamptz NOT NULL DEFAULT now();
