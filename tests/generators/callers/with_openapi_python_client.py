"""Calls the edge at a URL by the client that openapi-python-client made, and prints what came back as JSON."""

import io
import json
import sys
import uuid
from typing import Any

from openapi_python_client_everything import Client, models
from openapi_python_client_everything.api.every import (
    every_create,
    every_delete,
    every_get,
    every_list,
    every_sign_in,
    every_upload,
)
from openapi_python_client_everything.types import File

results: dict[str, Any] = {}
with Client(base_url=sys.argv[1]) as client:
    book = models.EveryV1ResourceInput(
        title="Emma", kind=models.EveryV1KindType0.KIND_ONE, size="5000000000", weight=1.5
    )
    created = every_create.sync(
        "novels", client=client, body=book, resource_id="emma", idempotency_key=str(uuid.UUID(int=1))
    )
    results["create"] = [created.title, created.kind, created.size, created.weight]
    listed = every_list.sync(
        "novels", client=client, kinds=["KIND_ONE", "2"], kind="KIND_ONE", sizes=["1", "2"], flag=True, filter_title="x"
    )
    results["list"] = [[each.title, each.kind, each.weight] for each in listed.resources]
    uploaded = every_upload.sync("a file", client=client, body=File(io.BytesIO(b"raw bytes")))
    results["upload"] = uploaded.payload.read().decode()
    signed = every_sign_in.sync(client=client, body=models.EveryV1FormInput(name="ada", password="secret", number=7))
    results["sign in"] = [signed.name, signed.password, signed.number]
    results["delete"] = every_delete.sync("novels", "emma", client=client)
    missing = every_get.sync_detailed("novels", "none", client=client)
    results["missing"] = [missing.status_code, missing.parsed.error.status]
print(json.dumps(results))
