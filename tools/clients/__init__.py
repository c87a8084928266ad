"""The packages of typed clients, and the collection for Postman."""
