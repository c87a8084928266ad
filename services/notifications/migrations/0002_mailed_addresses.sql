-- The unconfirmed addresses that were mailed, as keyed hashes: they outlive the user without identifying anybody.
CREATE TABLE mailed_addresses (
    address_hash bytea PRIMARY KEY,
    expire_time timestamptz NOT NULL
);

CREATE INDEX mailed_addresses_expired ON mailed_addresses (expire_time);

ALTER TABLE notifications ADD COLUMN undeliverable boolean NOT NULL DEFAULT false;
