"""What `make generate` makes of the declared services, and what it finds wrong with them."""
