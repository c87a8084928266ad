"""The services of the store. They depend on each other's contracts only."""
