"""What leaves the shop: mail."""
