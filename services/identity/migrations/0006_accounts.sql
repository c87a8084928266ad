ALTER TABLE users ADD COLUMN email_confirmed boolean NOT NULL DEFAULT false;

-- A sign-in as its user sees it: the application, and what it called itself when it was last used.
ALTER TABLE refresh_families
    ADD COLUMN client_id text NOT NULL DEFAULT 'public',
    ADD COLUMN user_agent text NOT NULL DEFAULT '',
    ADD COLUMN create_time timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_use_time timestamptz NOT NULL DEFAULT now();

DROP INDEX refresh_families_of_user;
CREATE INDEX refresh_families_of_user ON refresh_families (user_uid, last_use_time DESC, id DESC);

-- Tokens that were mailed and not used. What the mail contains is this id and a code that authenticates it, made with
-- KEY_ENCRYPTION_SECRET: nothing here is enough to use a token.
CREATE TABLE one_time_tokens (
    id uuid PRIMARY KEY,
    user_uid uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose text NOT NULL,
    email text NOT NULL, -- the address that it was mailed to
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL
);

CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_uid, purpose, create_time DESC);
CREATE INDEX one_time_tokens_expired ON one_time_tokens (expire_time);

-- Authorization codes that were not used. As above, the id and a code that authenticates it make up what the client
-- receives. The id becomes that of the sign-in, so that a code that is used again names the sign-in to end.
CREATE TABLE authorization_codes (
    id uuid PRIMARY KEY,
    user_uid uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    client_id text NOT NULL,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    code_challenge text NOT NULL, -- RFC 7636
    expire_time timestamptz NOT NULL
);

CREATE INDEX authorization_codes_of_user ON authorization_codes (user_uid);
CREATE INDEX authorization_codes_expired ON authorization_codes (expire_time);
