"""The call of one RPC: who may make it, how often, for how long, and how it reaches its upstream."""
