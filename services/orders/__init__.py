"""The orders service: prices what customers want from the catalog and follows each order to its end."""
