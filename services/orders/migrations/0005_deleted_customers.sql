-- Whether the customer was deleted after the order was paid: later events about it do not name the customer.
ALTER TABLE orders ADD COLUMN customer_deleted boolean NOT NULL DEFAULT false;
