-- Products that catalog has deleted: they never run low. One that was never in stock may have a row of version 0, so
-- that the lock of the row is enough to change it.
ALTER TABLE stock ADD COLUMN deleted boolean NOT NULL DEFAULT false;

-- Products that were deleted or undeleted, which their stock does not show yet.
CREATE TABLE product_changes (
    product text PRIMARY KEY,
    deleted boolean NOT NULL
);
