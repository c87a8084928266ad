-- Customers whose accounts were deleted, for as long as their tokens can last: they place no more orders.
CREATE TABLE erased_customers (
    customer text PRIMARY KEY,
    erase_time timestamptz NOT NULL
);

CREATE INDEX erased_customers_oldest ON erased_customers (erase_time);
