-- Whether a later event of the aggregate was handled since: a replay of this dead letter is out of order then.
ALTER TABLE mesh.inbox ADD COLUMN overtaken boolean NOT NULL DEFAULT false;

CREATE INDEX inbox_dead_of_aggregate ON mesh.inbox (aggregate, sequence) WHERE state = 'dead';

UPDATE mesh.inbox SET overtaken = true WHERE sequence = ANY(ARRAY(
    SELECT dead.sequence FROM mesh.inbox AS dead JOIN mesh.inbox AS later USING (aggregate)
    WHERE dead.state = 'dead' AND later.state = 'done' AND later.sequence > dead.sequence
));
