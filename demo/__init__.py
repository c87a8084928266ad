"""Demo data: `make demo` fills a running mesh with a realistic shop, through the public API."""
