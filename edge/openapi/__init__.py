"""The OpenAPI 3.1 description of a contract: https://spec.openapis.org/oas/v3.1.1.html."""
