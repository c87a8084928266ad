-- Workers that make first calls only find them without reading past those that are repeated.
CREATE INDEX payments_due_first ON payments (due_time) WHERE due_time IS NOT NULL AND attempts = 0;
