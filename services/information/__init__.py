"""The information service: one method, no database, no events. Start from it when you write your own."""
