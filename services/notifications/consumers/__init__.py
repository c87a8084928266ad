"""The consumers of events, a module for each subject."""
