"""HTTP replies from response messages: their bodies and headers."""
