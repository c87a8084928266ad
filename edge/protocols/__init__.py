"""The protocols in which clients call RPCs."""
