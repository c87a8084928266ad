-- The names (of products, pages and variants) that each source has reported on a day. Person 0 stands for all who are
-- not signed in. They are counted, so that no source fills the roll-ups with names of its own.
CREATE TABLE reported_names (
    person bigint NOT NULL,
    day date NOT NULL,
    dimension text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (person, day, dimension, key)
);

CREATE INDEX reported_names_oldest ON reported_names (day);
