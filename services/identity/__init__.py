"""The identity service: users, their passwords, and the access tokens that all services verify."""
