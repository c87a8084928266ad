-- The users that facts are about. Everything else refers to them by number only, so that the deletion of a row makes
-- all facts about the user anonymous.
CREATE TABLE people (
    person bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_name text NOT NULL UNIQUE
);

-- Users who were deleted, by a hash of their names: an event about one may arrive after its deletion.
CREATE TABLE erased_users (
    name_hash bytea PRIMARY KEY,
    expire_time timestamptz NOT NULL
);

CREATE INDEX erased_users_expiry ON erased_users (expire_time);

-- The steps of sales, in the order in which they were recorded.
CREATE TABLE sales (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric text NOT NULL,
    order_name text NOT NULL,
    person bigint,
    units bigint NOT NULL,
    currency text NOT NULL,
    hundredths bigint NOT NULL,
    event_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL DEFAULT now()
);

-- The events that clients reported. A row recognises an event that is sent again.
CREATE TABLE client_events (
    event_id uuid PRIMARY KEY,
    metric text NOT NULL,
    event_time timestamptz NOT NULL,
    person bigint,
    product text,
    page text,
    experiment text,
    variant text,
    record_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX client_events_record_time ON client_events USING brin (record_time);

-- What the facts add up to, for each interval, group and currency. The total is a group with an empty key.
CREATE TABLE rollups (
    metric text COLLATE "C" NOT NULL,
    resolution text COLLATE "C" NOT NULL CHECK (resolution IN ('minute', 'hour', 'day')),
    dimension text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    start_time timestamptz NOT NULL,
    count bigint NOT NULL,
    units bigint NOT NULL,
    hundredths bigint NOT NULL,
    PRIMARY KEY (metric, resolution, dimension, key, currency, start_time)
);

CREATE INDEX rollups_of_period ON rollups (metric, resolution, dimension, start_time);
CREATE INDEX rollups_expiry ON rollups (resolution, start_time);

-- The log of all events. Names of users are replaced by "users/~{person}".
CREATE TABLE audit_entries (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    aggregate text NOT NULL,
    actor text NOT NULL,
    description text NOT NULL,
    event_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX audit_entries_newest ON audit_entries (event_time DESC, sequence DESC);
CREATE INDEX audit_entries_newest_of_aggregate ON audit_entries (aggregate, event_time DESC, sequence DESC);
CREATE INDEX audit_entries_newest_of_type ON audit_entries (type, event_time DESC, sequence DESC);
CREATE INDEX audit_entries_newest_of_actor ON audit_entries (actor, event_time DESC, sequence DESC);

CREATE FUNCTION refuse_change_of_audit_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.record_time < now() - interval '2 years' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_entries is append-only: % is refused', TG_OP;
END
$$;

-- ALWAYS: a session that turns triggers off by session_replication_role is refused too.
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_entries();
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_append_only;

CREATE TRIGGER audit_entries_not_truncated BEFORE TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_entries();
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_not_truncated;
