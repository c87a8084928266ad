"""The sample_shelf service: keeps the sample notes of users."""
