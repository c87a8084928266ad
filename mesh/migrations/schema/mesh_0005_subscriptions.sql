-- The types of events that the inbox receives, each with the time from which on it receives all of them. The broker need
-- not have kept earlier ones for it.
CREATE TABLE mesh.subscriptions (
    type text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);
