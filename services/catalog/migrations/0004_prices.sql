-- Scheduled prices. Those of a product never overlap, which the exclusion constraint guarantees. A uuid is not in an
-- operator class of GiST without the extension btree_gist, which a service's role may not create; a range of uuids is.
CREATE TYPE uuid_range AS RANGE (subtype = uuid);

CREATE TABLE prices (
    uid uuid PRIMARY KEY,
    product_uid uuid NOT NULL REFERENCES products,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hundredths bigint NOT NULL CHECK (hundredths >= 0),
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL,
    CONSTRAINT prices_do_not_overlap EXCLUDE USING gist (
        uuid_range(product_uid, product_uid, '[]') WITH &&, tstzrange(start_time, end_time) WITH &&
    )
);

CREATE INDEX prices_of_product ON prices (product_uid, start_time, uid);
CREATE INDEX prices_by_end ON prices (end_time);

-- The price of a product is the one in force until next_price_change, when reads compute it anew and the repricer
-- writes it. While a scheduled price is in force, its uid is price_uid, and the regular price is kept beside it.
ALTER TABLE products
    ADD COLUMN price_uid uuid,
    ADD COLUMN regular_currency text,
    ADD COLUMN regular_hundredths bigint,
    ADD COLUMN next_price_change timestamptz,
    ADD CONSTRAINT regular_price_beside_a_scheduled_one CHECK (
        (price_uid IS NULL) = (regular_currency IS NULL) AND (price_uid IS NULL) = (regular_hundredths IS NULL)
    );

CREATE INDEX products_by_next_price_change ON products (next_price_change) WHERE next_price_change IS NOT NULL;
