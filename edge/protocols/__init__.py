"""The protocols that clients call RPCs by."""
