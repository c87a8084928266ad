"""REST by google.api.http rules: JSON, streams as JSON arrays, NDJSON or server-sent events, and files."""
