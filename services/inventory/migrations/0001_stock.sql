-- Stock. The check is the last guard: units are never oversold, whatever the code does.
CREATE TABLE stock (
    product text PRIMARY KEY,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    reorder_level integer NOT NULL,
    reorder_quantity integer NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL,
    low boolean NOT NULL,
    low_change bigint, -- the position of the last change of low, for streams
    CHECK (0 <= reserved AND reserved <= on_hand)
);

CREATE INDEX stock_low ON stock (product) WHERE low;
CREATE INDEX stock_to_reorder ON stock (product) WHERE low AND reorder_quantity > 0;
CREATE INDEX stock_low_changes ON stock (low_change) WHERE low_change IS NOT NULL;
CREATE SEQUENCE stock_low_change;

-- What staff added and took away. It never changes, but for the names of deleted users.
CREATE TABLE adjustments (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product text NOT NULL REFERENCES stock,
    delta integer NOT NULL CHECK (delta <> 0),
    reason text NOT NULL,
    note text NOT NULL,
    actor text NOT NULL,
    create_time timestamptz NOT NULL
);

CREATE INDEX adjustments_of_product ON adjustments (product, number DESC);
CREATE INDEX adjustments_of_actor ON adjustments (actor) WHERE actor <> '';

-- What is reserved for orders. An order that was released before anything was reserved has a row too.
CREATE TABLE reservations (
    order_name text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('reserved', 'rejected', 'committed', 'released', 'returned', 'expired')),
    expire_time timestamptz NOT NULL
);

CREATE INDEX reservations_expiring ON reservations (expire_time) WHERE state = 'reserved';

CREATE TABLE reserved_units (
    order_name text NOT NULL REFERENCES reservations,
    product text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_name, product)
);
