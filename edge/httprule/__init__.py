"""The grammar and the routing of google.api.http rules; knows nothing of HTTP servers or of our contracts."""
