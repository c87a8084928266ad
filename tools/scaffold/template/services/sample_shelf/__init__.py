"""The sample_shelf service, which stores the sample notes of users."""
