-- The member of staff who decided on a payment that the risk check had flagged.
ALTER TABLE payments ADD COLUMN reviewer text NOT NULL DEFAULT '';
