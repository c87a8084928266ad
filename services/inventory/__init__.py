"""The inventory service: keeps the stock of products, and reserves it for orders."""
