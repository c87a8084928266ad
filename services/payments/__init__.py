"""The payments service: keeps the payments of users."""
