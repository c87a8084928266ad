"""The files that `make generate` derives from the declared services, and the checks that it makes on them."""
