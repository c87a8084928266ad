"""The edge's ASGI application: dispatch of requests to endpoints, its own pages, and the reload of contracts."""
