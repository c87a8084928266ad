"""A collection in format 2.1 of Postman, generated from an OpenAPI document. Bruno and Insomnia import it, too."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from edge.http.request import JSON
from edge.openapi.document import METHODS
from edge.openapi.examples import example

FORMAT: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
BASE_URL: Final = "http://localhost:8080"
EVENT_STREAM: Final = "text/event-stream"

_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_RESERVED: Final = frozenset({"baseUrl", "token"})
"""Names of the collection's own variables. A variable of a path with such a name has an underscore at its end."""
_VALUES: Final = {"user": "me"}
"""Values of variables that are valid for every user."""

_DESCRIPTION: Final = """\
The request IssueToken signs in and sets the variable `token`, which authorizes the others. Set `baseUrl` to the \
address of the API, and the variables of resources to the last part of their names: `order` is 7 for orders/7."""
_KEEP_TOKEN: Final = (
    "if (pm.response.code === 200) {",
    '  pm.collectionVariables.set("token", pm.response.json().access_token);',
    "}",
)


def collection_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a collection with a folder for each tag of the document and a request for each operation."""
    folders: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    variables: dict[str, str] = {}
    for path, method, operation in _operations(document):
        variables |= dict.fromkeys(map(_variable, _VARIABLE.findall(path)), "")
        folders[operation["tags"][0]].append(_item(path, method, operation))
    return {
        "info": {
            "name": document["info"]["title"],
            "description": _DESCRIPTION,
            "schema": FORMAT,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [
            {"key": "baseUrl", "value": BASE_URL},
            {"key": "token", "value": ""},
            *({"key": name, "value": _VALUES.get(name, "")} for name in sorted(variables)),
        ],
        "item": [
            {"name": tag["name"], "description": tag["description"], "item": folders[tag["name"]]}
            for tag in document["tags"]
        ],
    }


def write_collection(document: Mapping[str, Any], path: Path) -> None:
    """Writes the collection for a document to a file."""
    path.write_text(json.dumps(collection_of(document), indent=2, ensure_ascii=False) + "\n")


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, method, each) for method, each in item.items() if method.upper() in METHODS)


def _item(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": method.upper(),
        "header": _headers(operation),
        "url": _url(path, operation),
        "description": operation.get("description", f"{operation['summary']}."),
    }
    if "requestBody" in operation:
        request["body"] = _body(operation["requestBody"]["content"])
    if operation.get("security") == []:
        request["auth"] = {"type": "noauth"}
    item = {"name": operation["operationId"].partition("_")[2], "request": request, "response": []}
    return {**item, "event": [_keeping_token()]} if _signs_in(operation) else item


def _signs_in(operation: Mapping[str, Any]) -> bool:
    """Returns whether the example of an operation is an OAuth 2.0 grant that issues a token to a user."""
    content = operation.get("requestBody", {}).get("content", {})
    sample = content.get(JSON, {}).get("example")
    return isinstance(sample, dict) and sample.get("grant_type") == "password"


def _keeping_token() -> dict[str, Any]:
    """Returns a script that stores the token of the response in its variable."""
    return {"listen": "test", "script": {"type": "text/javascript", "exec": list(_KEEP_TOKEN)}}


def _url(path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the URL of an operation. Its optional parameters are listed but disabled."""
    text = _VARIABLE.sub(lambda found: f"{{{{{_variable(found[1])}}}}}", path)
    query = [_query(each) for each in operation["parameters"] if each.get("in") == "query"]
    sent = "&".join(f"{each['key']}={quote(each['value'])}" for each in query if not each["disabled"])
    url = {
        "raw": f"{{{{baseUrl}}}}{text}{'?' if sent else ''}{sent}",
        "host": ["{{baseUrl}}"],
        "path": text.removeprefix("/").split("/"),
    }
    return {**url, "query": query} if query else url


def _variable(name: str) -> str:
    """Returns the name of the variable for one of a path. Names remain different."""
    return f"{name}_" if name.rstrip("_") in _RESERVED else name


def _query(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": parameter["name"],
        "value": _value(parameter.get("schema", {})),
        "description": parameter.get("description", ""),
        "disabled": not parameter.get("required", False),
    }


def _value(schema: Mapping[str, Any]) -> str:
    """Returns an example value of a parameter as text; empty if the schema has none."""
    found = next(iter(schema.get("examples", ())), None)
    found = example(dict(schema)) if found is None and schema else found
    found = found[0] if isinstance(found, list) and found else found
    if isinstance(found, str):
        return found
    return "" if found is None else json.dumps(found)


def _headers(operation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns the headers of a request: for a stream, the Accept header that selects server-sent events."""
    success = operation["responses"].get("200", {})
    return [{"key": "Accept", "value": EVENT_STREAM}] if EVENT_STREAM in success.get("content", {}) else []


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    if JSON not in content:
        return {"mode": "file", "file": {"src": None}}
    raw = json.dumps(content[JSON].get("example", {}), indent=2, ensure_ascii=False)
    return {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
