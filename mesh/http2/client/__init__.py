"""The side of a client: connections that it opens, and the calls on them."""
