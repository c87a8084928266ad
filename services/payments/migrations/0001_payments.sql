-- One payment for each order.
CREATE TABLE payments (
    uid uuid PRIMARY KEY,
    order_name text NOT NULL UNIQUE,
    customer text NOT NULL,
    payment_method text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_hundredths bigint NOT NULL CHECK (amount_hundredths >= 0),
    captured_hundredths bigint NOT NULL DEFAULT 0 CHECK (captured_hundredths IN (0, amount_hundredths)),
    refunded_hundredths bigint NOT NULL DEFAULT 0 CHECK (refunded_hundredths BETWEEN 0 AND captured_hundredths),
    state text NOT NULL CHECK (state IN ('pending', 'authorized', 'in_review', 'captured', 'failed', 'cancelled')),
    failure text NOT NULL DEFAULT '',
    cancel_requested boolean NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL,
    due_time timestamptz, -- when the provider is to be asked (again), null if there is nothing to ask
    attempts integer NOT NULL DEFAULT 0
);

CREATE INDEX payments_newest ON payments (create_time DESC, uid DESC);
CREATE INDEX payments_newest_of_customer ON payments (customer, create_time DESC, uid DESC);
CREATE INDEX payments_newest_in_state ON payments (state, create_time DESC, uid DESC);
CREATE INDEX payments_due ON payments (due_time) WHERE due_time IS NOT NULL;

CREATE TABLE risk_findings (
    payment_uid uuid NOT NULL REFERENCES payments,
    rule text NOT NULL,
    explanation text NOT NULL,
    PRIMARY KEY (payment_uid, rule)
);

-- Orders that were cancelled before they had a payment: they can't be charged afterwards.
CREATE TABLE cancelled_orders (
    order_name text PRIMARY KEY,
    cancel_time timestamptz NOT NULL
);

-- Customers who were erased: payments that are begun later do not name them either.
CREATE TABLE erased_customers (
    customer text PRIMARY KEY,
    erase_time timestamptz NOT NULL
);

CREATE INDEX erased_customers_oldest ON erased_customers (erase_time);

-- Reports of the provider that have arrived, as long as their signatures are accepted.
CREATE TABLE received_reports (
    id text PRIMARY KEY,
    receive_time timestamptz NOT NULL
);

CREATE INDEX received_reports_oldest ON received_reports (receive_time);

-- What is to be paid back, and was when done_time is set.
CREATE TABLE refunds (
    uid uuid PRIMARY KEY,
    payment_uid uuid NOT NULL REFERENCES payments,
    amount_hundredths bigint NOT NULL CHECK (amount_hundredths > 0),
    reason text NOT NULL,
    create_time timestamptz NOT NULL,
    done_time timestamptz
);

CREATE INDEX refunds_of_payment ON refunds (payment_uid, create_time);

-- The books. The entries of a posting add up to zero; none is ever changed or deleted.
CREATE TABLE ledger_entries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    posting uuid NOT NULL,
    account text NOT NULL CHECK (account IN ('provider', 'sales', 'refunds')),
    currency text NOT NULL,
    hundredths bigint NOT NULL CHECK (hundredths <> 0),
    payment_uid uuid NOT NULL REFERENCES payments,
    create_time timestamptz NOT NULL,
    UNIQUE (posting, account)
);

CREATE INDEX ledger_entries_of_payment ON ledger_entries (payment_uid, number DESC);

CREATE FUNCTION keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the ledger are never changed or deleted';
END $$;

CREATE TRIGGER ledger_is_kept BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER ledger_is_not_emptied BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();

CREATE FUNCTION check_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_entries WHERE posting = NEW.posting GROUP BY currency HAVING sum(hundredths) <> 0
    ) THEN
        RAISE EXCEPTION 'the entries of posting % do not add up to zero', NEW.posting;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER postings_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_posting();
