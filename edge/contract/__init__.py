"""The HTTP interface that a descriptor image declares: methods, routes, problems, and their message types."""
