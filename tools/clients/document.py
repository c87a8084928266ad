"""The OpenAPI document of the store, as the edge serves it."""

import json
from pathlib import Path
from typing import Any, Final

from edge.contract.contract import load
from edge.contract.token_endpoint import token_url
from edge.openapi.document import Documents

ROOT: Final = Path(__file__).resolve().parents[2]
TITLE: Final = "Meshwright"


def openapi_document() -> dict[str, Any]:
    """Returns the document of all services, generated from gen/contracts.binpb."""
    contract = load(ROOT / "gen" / "contracts.binpb")
    url = token_url(contract.routes)
    documents = Documents(contract.routes, contract.registry, title=TITLE, secured=True, token_url=url)
    document: dict[str, Any] = json.loads(b"".join(documents.pieces()))
    return document
