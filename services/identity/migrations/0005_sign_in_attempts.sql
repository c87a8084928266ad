-- Failed sign-ins, counted by account, by client address, and by both. Keys are keyed hashes: an account need not exist.
CREATE TABLE sign_in_attempts (
    key text PRIMARY KEY,
    failures integer NOT NULL,
    blocked_until timestamptz NOT NULL,
    expire_time timestamptz NOT NULL
);

CREATE INDEX sign_in_attempts_expired ON sign_in_attempts (expire_time);

-- The addresses from which users have signed in, where the guesses of others do not lock them out.
CREATE TABLE known_addresses (
    user_uid uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    address_hash text NOT NULL,
    expire_time timestamptz NOT NULL,
    PRIMARY KEY (user_uid, address_hash)
);
