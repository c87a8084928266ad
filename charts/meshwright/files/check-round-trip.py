"""A public method answers through the edge: the service behind it is reached, and its database."""

import os

import httpx

TIMEOUT_S = 10

response = httpx.get(os.environ["URL"], timeout=TIMEOUT_S).raise_for_status()
print(response.status_code, response.json())
