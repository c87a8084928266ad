-- How many names each source has reported on a day. To count them anew for each batch took up to 0.1 s, in which the
-- roll-ups were locked.
CREATE TABLE reported_name_counts (
    person bigint NOT NULL,
    day date NOT NULL,
    dimension text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (person, day, dimension)
);

CREATE INDEX reported_name_counts_oldest ON reported_name_counts (day);

INSERT INTO reported_name_counts
SELECT person, day, dimension, count(*) FROM reported_names GROUP BY person, day, dimension;
