"""The side of a server: connections that clients open, and the calls on them."""
