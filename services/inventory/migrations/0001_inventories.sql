-- Deleted ones stay, so that a stream can report the deletion. `change` is the position of the last change in the
-- order of all changes.
CREATE SEQUENCE inventories_change;

CREATE TABLE inventories (
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

CREATE INDEX inventories_newest_of_owner ON inventories (owner, create_time DESC, uid DESC)
WHERE delete_time IS NULL;
CREATE INDEX inventories_changes_of_owner ON inventories (owner, change);
