"""Connect: https://connectrpc.com/docs/protocol."""
