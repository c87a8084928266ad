"""The SQL of notifications, a module for each table. Every function runs in its caller's transaction."""
