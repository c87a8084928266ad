"""The orders service: prices orders by the catalog, stores them, and manages their states."""
