-- The number of new events that each user has reported on a day. It is limited, so that no user fills the database.
CREATE TABLE reported_events (
    person bigint NOT NULL,
    day date NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (person, day)
);

CREATE INDEX reported_events_oldest ON reported_events (day);
