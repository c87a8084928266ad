"""A believable shop: `make demo` puts it into a running mesh through the public API, as any client would."""
