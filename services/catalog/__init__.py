"""The catalog service: the products, kept by staff and found by everybody."""
