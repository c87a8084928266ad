"""From the path, the query, the headers and the body of a request to its message."""
