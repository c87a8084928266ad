"""Random requests, each of which is bound or rejected with a MeshError."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bind.binder import Binder
from edge.contract.contract import Contract
from edge.http.errors import render
from edge.protojson.readers import Readers
from mesh.errors import MeshError
from mesh.validation import Validator
from tests.edge.requests import request_of

KEYS = (
    "i32 i64 flag text data kind numbers counts[a] counts inner.text inner list choiceA choiceB timestamp duration any",
    "fieldMask struct value wrappedInt deeper.i32 page_size filter.and.kinds name etag update_mask book.title $alt",
)
VALUES = ["1", "1e" + "9" * 25, "-0", "NaN", "true", "2026-01-31T09:30:00Z", "1.5s", "%ff", "%", "AA==", "a,b"]
HEADERS = ['"a"', "application/json", "application/x-www-form-urlencoded; charset=x", '"%ff"', "W/x"]

keys = st.sampled_from([key for line in KEYS for key in line.split()]) | st.text(max_size=6)
values = st.sampled_from(VALUES) | st.text(max_size=10)
queries = st.lists(st.tuples(keys, values), max_size=4)
documents = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
bodies = st.binary(max_size=30) | documents.map(lambda document: json.dumps(document).encode())
names = st.sampled_from([b"if-match", b"idempotency-key", b"content-type"])
headers = st.dictionaries(names, st.binary(max_size=12) | st.sampled_from(HEADERS).map(str.encode))


def test_every_request_is_bound_or_refused(library: Contract) -> None:
    """Any path, query, headers and body are bound or rejected with an error that can be rendered; nothing else is
    raised.
    """
    readers, validator = Readers(library.registry), Validator()
    binders = [(Binder(route, readers, validator), route) for route in library.routes]

    @settings(max_examples=400)
    @given(st.sampled_from(range(len(binders))), queries, bodies, headers, st.lists(values, min_size=4, max_size=4))
    def check(
        number: int, query: list[tuple[str, str]], body: bytes, sent: dict[bytes, bytes], path: list[str]
    ) -> None:
        binder, route = binders[number]
        text = "&".join(f"{key}={value}" for key, value in query)
        request = request_of(route.http_method, sent, text.encode(errors="surrogatepass"))
        status = 200
        try:
            bound, _ = binder.bind(request, tuple(path[: len(route.variables)]), request.query, body)
            route.method.desc.input.type.from_binary(bound)
        except MeshError as error:
            status = json.loads(render(error)[2])["error"]["code"]
        assert status in (200, 400, 415)

    check()
