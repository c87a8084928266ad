-- The tree of categories. Products name their categories, and a category that a product names can't be deleted
-- (category_storage.hold). There is no foreign key: PostgreSQL has none for the elements of an array, and replicas of the
-- previous version create products in categories without a row. Such a row is added when the product changes.
CREATE TABLE categories (
    id text PRIMARY KEY,
    title text NOT NULL,
    parent text REFERENCES categories CHECK (parent <> id),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL
);

CREATE INDEX categories_by_parent ON categories (parent, id);

INSERT INTO categories (id, title, create_time, update_time, version)
SELECT category, upper(left(category, 1)) || substr(replace(category, '-', ' '), 2), min(create_time), now(), 1
FROM products GROUP BY category;

ALTER TABLE products ADD COLUMN additional_categories text[] NOT NULL DEFAULT '{}';

CREATE INDEX products_in_categories ON products USING gin (array_prepend(category, additional_categories))
WITH (fastupdate = off);

-- The planner needs statistics to know how common each category is.
ANALYZE products;
