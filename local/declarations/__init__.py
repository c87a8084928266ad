"""The services of a checkout, as their declarations and their contracts describe them."""
