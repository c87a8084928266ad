"""The catalog service: products, which staff maintains and everybody can find."""
