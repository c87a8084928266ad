-- Deleted ones stay, so that a stream can report the deletion. `change` is the position of the last change in the
-- order of all changes.
CREATE SEQUENCE payments_change;

CREATE TABLE payments (
    uid uuid PRIMARY KEY,
    owner text NOT NULL,
    display_name text NOT NULL,
    description text NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    delete_time timestamptz,
    version integer NOT NULL,
    change bigint NOT NULL
);

CREATE INDEX payments_newest_of_owner ON payments (owner, create_time DESC, uid DESC)
WHERE delete_time IS NULL;
CREATE INDEX payments_changes_of_owner ON payments (owner, change);
