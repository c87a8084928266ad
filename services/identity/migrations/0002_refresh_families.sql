-- A sign-in: the refresh tokens that derive from one use of the password. Only the newest is valid, so only its hash is
-- stored; any other token of the family was used before or stolen.
CREATE TABLE refresh_families (
    id uuid PRIMARY KEY,
    user_uid uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes text[] NOT NULL,
    token_hash bytea NOT NULL, -- SHA-256; the tokens are random, so there is nothing to guess
    expire_time timestamptz NOT NULL
);

CREATE INDEX refresh_families_of_user ON refresh_families (user_uid, expire_time DESC);
