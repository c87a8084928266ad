-- An erasure finds what a member of staff has decided.
CREATE INDEX payments_of_reviewer ON payments (reviewer) WHERE reviewer <> '';
