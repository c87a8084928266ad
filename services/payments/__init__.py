"""The payments service: charges customers by a payment provider, and keeps the books."""
