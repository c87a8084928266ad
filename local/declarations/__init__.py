"""The services of a checkout: what their folders declare, and what their contracts say of them."""
