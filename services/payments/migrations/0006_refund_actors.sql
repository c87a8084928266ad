-- The member of staff who refunded an amount; empty if nobody did, because the order was cancelled.
ALTER TABLE refunds ADD COLUMN actor text NOT NULL DEFAULT '';

-- An erasure finds what a member of staff has refunded.
CREATE INDEX refunds_of_actor ON refunds (actor) WHERE actor <> '';
