"""The canonical form of a request."""

from mesh.idempotency.canonical_form import canonical_form
from tests.mesh.messages import Note, Other


def test_the_canonical_form_ignores_the_order_of_maps() -> None:
    """Equal requests have equal forms, without the request_id, in any order of their maps, at any depth."""
    one = Note(text="x", request_id="1", labels={"a": "1", "b": "2"}, replies=[Note(labels={"c": "3", "d": "4"})])
    two = Note(text="x", request_id="2", labels={"b": "2", "a": "1"}, replies=[Note(labels={"d": "4", "c": "3"})])
    assert canonical_form(one) == canonical_form(two)
    assert one.request_id == "1"


def test_the_canonical_form_ignores_preconditions() -> None:
    """The etag beside a resource, or in it if there is none beside it (AIP-154), is a condition on the same request."""
    assert canonical_form(Note(text="x", etag="6")) == canonical_form(Note(text="x", etag="7"))
    updates = [Other(note=Note(text="x", etag=etag)) for etag in ("", "6", "7")]
    assert len({canonical_form(update) for update in updates}) == 1
    assert updates[2].note.etag == "7"


def test_different_requests_have_different_forms() -> None:
    """Another value, list order, type or nested request_id changes the form, as does the etag of one item of many."""
    notes = [
        Note(text="x"),
        Note(text="y"),
        Note(replies=[Note(text="1"), Note(text="2")]),
        Note(replies=[Note(text="2"), Note(text="1")]),
        Note(replies=[Note(request_id="1")]),
        Note(replies=[Note(etag="1")]),
        Other(text="x"),
        Other(note=Note(text="x")),
    ]
    assert len({canonical_form(note) for note in notes}) == len(notes)
