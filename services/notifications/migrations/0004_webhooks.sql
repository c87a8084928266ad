-- Endpoints of users that are called when something happens to orders. `due_time` is that of the first pending
-- delivery; whoever has the lease delivers.
CREATE TABLE webhook_endpoints (
    uid uuid PRIMARY KEY,
    owner text NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    event_types text[] NOT NULL,
    all_orders boolean NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL,
    disable_reason text CHECK (disable_reason IN ('owner', 'failing', 'gone', 'overloaded')),
    secret_version integer NOT NULL,
    previous_secret_expire_time timestamptz,
    failing_since timestamptz,
    due_time timestamptz,
    lease_expire_time timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE INDEX webhook_endpoints_newest_of_owner ON webhook_endpoints (owner, create_time DESC, uid DESC);
CREATE INDEX webhook_endpoints_leases_of_owner ON webhook_endpoints (owner, lease_expire_time);
CREATE INDEX webhook_endpoints_of_all_orders ON webhook_endpoints (uid) WHERE all_orders;
CREATE INDEX webhook_endpoints_due ON webhook_endpoints (due_time)
WHERE due_time IS NOT NULL AND disable_reason IS NULL;

CREATE TABLE webhook_messages (
    uid uuid PRIMARY KEY,
    customer text NOT NULL,
    type text NOT NULL,
    body bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX webhook_messages_of_customer ON webhook_messages (customer);
CREATE INDEX webhook_messages_oldest ON webhook_messages (create_time);

CREATE TABLE webhook_deliveries (
    uid uuid PRIMARY KEY,
    endpoint_uid uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    message_uid uuid NOT NULL REFERENCES webhook_messages ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    create_time timestamptz NOT NULL,
    due_time timestamptz,
    CHECK ((state = 'pending') = (due_time IS NOT NULL))
);

CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (endpoint_uid, create_time DESC, uid DESC);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_uid, due_time) WHERE due_time IS NOT NULL;
CREATE INDEX webhook_deliveries_of_message ON webhook_deliveries (message_uid);

CREATE TABLE webhook_attempts (
    delivery_uid uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    number integer NOT NULL,
    time timestamptz NOT NULL,
    duration interval NOT NULL,
    status integer,
    error text NOT NULL,
    PRIMARY KEY (delivery_uid, number)
);
