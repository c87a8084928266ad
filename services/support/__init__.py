"""The support service: conversations between customers and staff, and the streams by which they chat."""
