-- Tokens that ended before they expired: one token, those of a sign-in, or those of a user, as a hash. Every process
-- that verifies tokens keeps a copy.
CREATE TABLE ended_tokens (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in the order of commits: inserts take turns
    id text NOT NULL UNIQUE,
    expire_time timestamptz NOT NULL
);

CREATE INDEX ended_tokens_expired ON ended_tokens (expire_time);

-- The processes that keep a copy, and how far each has read.
CREATE TABLE ended_token_readers (
    id uuid PRIMARY KEY,
    seen bigint NOT NULL,
    poll_time timestamptz NOT NULL
);
