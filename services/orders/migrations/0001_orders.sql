-- Orders, and their lines with the title and price that the product had when the order was placed.
CREATE TABLE orders (
    uid uuid PRIMARY KEY,
    customer text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled', 'shipped')),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL
);

CREATE INDEX orders_newest ON orders (create_time DESC, uid DESC);
CREATE INDEX orders_newest_of_customer ON orders (customer, create_time DESC, uid DESC);

CREATE TABLE order_lines (
    order_uid uuid NOT NULL REFERENCES orders,
    position smallint NOT NULL,
    product text NOT NULL,
    title text NOT NULL,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    unit_price_hundredths bigint NOT NULL CHECK (unit_price_hundredths >= 0),
    PRIMARY KEY (order_uid, position)
);
