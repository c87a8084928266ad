"""The notifications service: sends mail when something happens, and remembers what was sent."""
