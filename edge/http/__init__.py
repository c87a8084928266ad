"""HTTP as the edge speaks it: connections and their limits, requests, codings, conditions, CORS, errors."""
