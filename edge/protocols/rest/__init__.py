"""REST as google.api.http rules describe it: JSON, streams as arrays, lines and events, and files."""
