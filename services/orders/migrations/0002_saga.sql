-- What pending orders wait for, how orders end, and what became of them. Processes of the version before work on: the
-- orders that they insert wait for stock from now on, and what they leave as it is means nothing in other states.
ALTER TABLE orders
    ADD COLUMN pending_step text DEFAULT 'stock' CHECK (pending_step IN ('stock', 'payment', 'payment_review')),
    ADD COLUMN step_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN step_retry_time timestamptz,
    ADD COLUMN cancel_reason text,
    ADD COLUMN payment_method text NOT NULL DEFAULT '',
    ADD COLUMN payment text NOT NULL DEFAULT '',
    ADD COLUMN refunded_hundredths bigint CHECK (refunded_hundredths > 0),
    ADD COLUMN carrier text,
    ADD COLUMN tracking_number text,
    ADD COLUMN ship_time timestamptz;

-- For the list of stuck orders, and for the sweeper.
CREATE INDEX orders_pending_longest ON orders (step_since, uid) WHERE state = 'pending';
CREATE INDEX orders_pending_in_step ON orders (pending_step, (coalesce(step_retry_time, step_since)))
WHERE state = 'pending';

-- What carriers reported about shipments.
CREATE TABLE shipment_events (
    order_uid uuid NOT NULL REFERENCES orders,
    position smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('in_transit', 'out_for_delivery', 'delivered', 'returned')),
    description text NOT NULL,
    event_time timestamptz NOT NULL,
    PRIMARY KEY (order_uid, position)
);

-- Every change of an order's state or pending step. The version is that of the order after it.
CREATE TABLE order_changes (
    order_uid uuid NOT NULL REFERENCES orders,
    version integer NOT NULL,
    change_time timestamptz NOT NULL,
    actor text NOT NULL,
    state text NOT NULL,
    pending_step text,
    reason text NOT NULL,
    PRIMARY KEY (order_uid, version)
);
