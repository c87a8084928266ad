CREATE TABLE users (
    uid uuid PRIMARY KEY,
    email text NOT NULL,
    display_name text NOT NULL,
    role text NOT NULL CHECK (role IN ('customer', 'staff')),
    password_hash text NOT NULL, -- argon2id, with its parameters and salt (PHC string format)
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 1, -- counts the changes; the etag
    request_id text NOT NULL -- of the registration, so that its kept answer can be deleted with the user
);

-- One account an address, whatever its case. Addresses are ASCII; "C" folds those alike under every locale.
CREATE UNIQUE INDEX users_email ON users (lower(email COLLATE "C"));
