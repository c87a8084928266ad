-- The answers to calls with a request_id, so that a repeated call gets the same answer (AIP-155).
CREATE TABLE mesh.answers (
    caller text NOT NULL,
    method text NOT NULL,
    request_id text NOT NULL,
    request_hash bytea NOT NULL,
    response bytea NOT NULL DEFAULT '',
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller, method, request_id)
);

CREATE INDEX answers_expiry ON mesh.answers (expires_at);
