"""From response messages to the bodies and headers of replies."""
