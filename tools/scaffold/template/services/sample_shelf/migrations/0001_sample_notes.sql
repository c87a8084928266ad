-- Deleted rows are kept, so that streams can report the deletion. `change` is the position of the last change in the
-- order of all changes.
CREATE SEQUENCE sample_notes_change;

CREATE TABLE sample_notes (
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

CREATE INDEX sample_notes_newest_of_owner ON sample_notes (owner, create_time DESC, uid DESC)
WHERE delete_time IS NULL;
CREATE INDEX sample_notes_changes_of_owner ON sample_notes (owner, change);
