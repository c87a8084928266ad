"""The recommendations service: learns from paid orders which products are bought together."""
