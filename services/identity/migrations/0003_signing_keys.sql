CREATE TABLE signing_keys (
    kid text PRIMARY KEY, -- the key's thumbprint (RFC 7638)
    sealed text NOT NULL, -- the private key as a JWE (RFC 7516), encrypted with KEY_ENCRYPTION_SECRET
    activate_time timestamptz NOT NULL -- signs from then until the next key does; published before
);
