"""The edge's ASGI application: the dispatch of requests to endpoints, its own pages, and the reload of contracts."""
