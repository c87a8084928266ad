-- The products, deleted ones too. Titles and categories sort by the collation of the database.
CREATE TABLE products (
    uid uuid PRIMARY KEY,
    title text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_hundredths bigint NOT NULL CHECK (price_hundredths >= 0),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    delete_time timestamptz,
    version integer NOT NULL,
    search tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A')
        || setweight(to_tsvector('english', category), 'B')
        || setweight(to_tsvector('english', description), 'C')
    ) STORED
);

CREATE INDEX products_search ON products USING gin (search);

-- The orders of lists. The uid makes each order total, so that a page can begin after any row.
CREATE INDEX products_by_title ON products (title, uid);
CREATE INDEX products_by_category ON products (category, uid);
CREATE INDEX products_by_price ON products (price_hundredths, uid);
CREATE INDEX products_by_create_time ON products (create_time, uid);
CREATE INDEX products_by_update_time ON products (update_time, uid);
