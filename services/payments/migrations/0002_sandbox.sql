-- The sandbox provider's own records, as if they were in another company's database.
CREATE TABLE sandbox_charges (
    key uuid PRIMARY KEY,
    card text NOT NULL,
    currency text NOT NULL,
    amount_hundredths bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('processing', 'authorized', 'declined', 'captured', 'voided')),
    refunded_hundredths bigint NOT NULL DEFAULT 0 CHECK (refunded_hundredths <= amount_hundredths),
    asked integer NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL
);

CREATE TABLE sandbox_refunds (
    key uuid PRIMARY KEY,
    charge_key uuid NOT NULL REFERENCES sandbox_charges,
    amount_hundredths bigint NOT NULL CHECK (amount_hundredths > 0)
);

-- Reports to be sent: the number of times, beginning at due_time.
CREATE TABLE sandbox_reports (
    charge_key uuid PRIMARY KEY REFERENCES sandbox_charges,
    due_time timestamptz NOT NULL,
    times integer NOT NULL
);
