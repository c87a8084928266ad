-- Endpoints that got a delivery. Whoever adds one does not wait for others who do, and the workers find it here.
CREATE TABLE webhook_wakeups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_uid uuid NOT NULL
);
