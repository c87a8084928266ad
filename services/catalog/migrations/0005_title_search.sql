-- The words of titles, which a search finds before those of descriptions: see
-- docs/decisions/0025-cost-of-a-public-read.md.
CREATE INDEX products_live_titles ON products USING gin (ts_filter(search, '{a}')) WITH (fastupdate = off)
WHERE delete_time IS NULL;
