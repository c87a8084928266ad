-- Users whose accounts were deleted, for as long as their tokens can last: they adjust nothing any more.
CREATE TABLE erased_users (
    user_name text PRIMARY KEY,
    erase_time timestamptz NOT NULL
);

CREATE INDEX erased_users_oldest ON erased_users (erase_time);
