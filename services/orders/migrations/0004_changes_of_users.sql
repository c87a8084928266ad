-- An erasure finds what a member of staff has changed.
CREATE INDEX order_changes_of_user ON order_changes (actor) WHERE actor LIKE 'users/%';
