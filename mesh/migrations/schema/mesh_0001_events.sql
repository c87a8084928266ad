-- The outbox: events to publish, written in the transaction that makes the change, until the broker has them.
CREATE SCHEMA mesh;

CREATE TABLE mesh.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    type text NOT NULL,
    source text NOT NULL,
    aggregate text NOT NULL,
    time timestamptz NOT NULL DEFAULT now(),
    payload bytea NOT NULL,
    traceparent text,
    published_at timestamptz
);

CREATE INDEX outbox_waiting ON mesh.outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON mesh.outbox (published_at) WHERE published_at IS NOT NULL;

-- The inbox: events received. A row stays after it is done, so that an event that is delivered twice takes effect once.
CREATE TABLE mesh.inbox (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    aggregate text NOT NULL,
    time timestamptz NOT NULL,
    payload bytea NOT NULL,
    traceparent text,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    received_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    UNIQUE (source, event_id) -- CloudEvents: the two together identify an event
);

CREATE INDEX inbox_pending ON mesh.inbox (sequence) WHERE state = 'pending';
CREATE INDEX inbox_pending_of_aggregate ON mesh.inbox (aggregate, sequence) WHERE state = 'pending';
CREATE INDEX inbox_dead ON mesh.inbox (sequence) WHERE state = 'dead';
CREATE INDEX inbox_done ON mesh.inbox (finished_at) WHERE state = 'done';
