"""Calls the edge at a URL by the client in Python that openapi-generator made, and prints what came back as JSON."""

import json
import sys
import uuid
from typing import Any

import openapi_generator_python_everything as made
from openapi_generator_python_everything.exceptions import ApiException

with made.ApiClient(made.Configuration(host=sys.argv[1])) as client:
    api = made.EveryApi(client)
    results: dict[str, Any] = {}
    book = made.EveryV1ResourceInput(
        title="Emma",
        kind=made.EveryV1Kind("KIND_ONE"),
        size=made.Int64Input("5000000000"),
        weight=made.Double(1.5),
    )
    created = api.every_create("novels", book, resource_id="emma", idempotency_key=str(uuid.UUID(int=1)))
    results["create"] = [created.title, created.kind.actual_instance, created.size, created.weight.actual_instance]
    listed = api.every_list(
        "novels", kinds=["KIND_ONE", "2"], kind="KIND_ONE", sizes=["1", "2"], flag=True, filter_title="x"
    )
    results["list"] = [
        [each.title, each.kind.actual_instance, each.weight.actual_instance] for each in listed.resources
    ]
    results["upload"] = bytes(api.every_upload("a file", body=b"raw bytes")).decode()
    signed = api.every_sign_in(made.EveryV1FormInput(name="ada", password="secret", number=made.Int64Input(7)))
    results["sign in"] = [signed.name, signed.password, signed.number]
    results["delete"] = api.every_delete("novels", "emma")
    inner = made.EveryV1ThingInput(long_value=made.Int64Input("5"))
    echoed = api.every_echo(every_v1_thing_input=made.EveryV1ThingInput(thing=inner))
    assert echoed.thing.long_value == "5", "messages with oneofs keep their types where they may be null"
    try:
        api.every_get("novels", "none")
    except ApiException as error:
        results["missing"] = [error.status, error.data.error.status]
print(json.dumps(results))
