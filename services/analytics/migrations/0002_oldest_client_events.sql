-- The purge begins with the oldest events. Of a BRIN index the planner prefers to read the whole table.
CREATE INDEX client_events_oldest ON client_events (record_time);
DROP INDEX client_events_record_time;
