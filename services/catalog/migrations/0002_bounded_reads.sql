-- What bounds the cost of a list: see docs/decisions/0025-cost-of-a-public-read.md.

-- The pieces of three characters of a text in lower case, each once. What contains a text has all pieces of it. (The
-- extension pg_trgm does the same, but not every PostgreSQL has it. An index on an array needs none.)
CREATE FUNCTION trigrams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
RETURN ARRAY(SELECT DISTINCT substr(lower($1), start, 3) FROM generate_series(1, length(lower($1)) - 2) AS start);

-- Enough pieces of a text to look for it: each one more costs time, and the rows found are compared with the text.
CREATE FUNCTION sought_trigrams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (trigrams($1))[1:6];

-- fastupdate off: a list of changes that are not in the index yet would be read by every query.
CREATE INDEX products_title_trigrams ON products USING gin (trigrams(title)) WITH (fastupdate = off);

-- The lists of one category.
CREATE INDEX products_of_category_by_title ON products (category, title, uid);
CREATE INDEX products_of_category_by_price ON products (category, price_hundredths, uid);
CREATE INDEX products_of_category_by_create_time ON products (category, create_time, uid);
CREATE INDEX products_of_category_by_update_time ON products (category, update_time, uid);

-- A search looks at no deleted product.
CREATE INDEX products_live_search ON products USING gin (search) WITH (fastupdate = off) WHERE delete_time IS NULL;

-- The planner knows how common each piece is only with statistics.
ANALYZE products;

-- At the end, for it locks out readers until this file is committed.
DROP INDEX products_search;
