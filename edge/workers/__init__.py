"""The processes of an edge with several workers, which share its ports, its rate limits and its metrics."""
