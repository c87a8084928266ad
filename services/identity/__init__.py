"""The identity service: users, their passwords, and the tokens that every other service verifies."""
