"""The twin of the store's two flows as most teams write them: FastAPI, httpx, SQLAlchemy and aio-pika (README.md)."""
