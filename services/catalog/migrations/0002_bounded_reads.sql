-- Indexes that bound the cost of a list: see docs/decisions/0025-cost-of-a-public-read.md.

-- The distinct trigrams of a text in lower case. A text that contains another has all of its trigrams. (The extension
-- pg_trgm does the same, but is not in every PostgreSQL. An index on an array needs no extension.)
CREATE FUNCTION trigrams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
RETURN ARRAY(SELECT DISTINCT substr(lower($1), start, 3) FROM generate_series(1, length(lower($1)) - 2) AS start);

-- Enough trigrams to search for a text: more would cost time, and the rows found are compared with the text anyway.
CREATE FUNCTION sought_trigrams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (trigrams($1))[1:6];

-- fastupdate is off because every query would have to read the list of changes that are not in the index yet.
CREATE INDEX products_title_trigrams ON products USING gin (trigrams(title)) WITH (fastupdate = off);

-- The lists of one category.
CREATE INDEX products_of_category_by_title ON products (category, title, uid);
CREATE INDEX products_of_category_by_price ON products (category, price_hundredths, uid);
CREATE INDEX products_of_category_by_create_time ON products (category, create_time, uid);
CREATE INDEX products_of_category_by_update_time ON products (category, update_time, uid);

-- A search does not read deleted products.
CREATE INDEX products_live_search ON products USING gin (search) WITH (fastupdate = off) WHERE delete_time IS NULL;

-- The planner needs statistics to know how common each trigram is.
ANALYZE products;

-- The last statement, because it locks out readers until this file is committed.
DROP INDEX products_search;
