"""Path templates and routing of google.api.http rules, independent of HTTP servers and of our contracts."""
