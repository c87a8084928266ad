"""A public method answers through the edge: the service behind it is reached, and its database."""

import json
import os
import urllib.request

TIMEOUT_S = 10

with urllib.request.urlopen(os.environ["URL"], timeout=TIMEOUT_S) as response:
    print(response.status, json.load(response))
