"""docs/errors.md: it has what the code sends."""

from pathlib import Path

import pytest

from tools.errors_page import collect, entries, mismatches, page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a folder with the contracts' image and no code."""
    (tmp_path / "gen").mkdir()
    (tmp_path / "gen" / "contracts.binpb").write_bytes((ROOT / "gen" / "contracts.binpb").read_bytes())
    return tmp_path


def write(tree: Path, path: str, text: str) -> None:
    """Adds a module."""
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ('raise NotFound("Gone.", reason="SOME_REASON")', {(404, "NOT_FOUND")}),
        ('raise BrokenResponse("Broken.", reason="SOME_REASON")', {(502, "INTERNAL")}),
        ('raise errors.NotFound("Gone.", reason="SOME_REASON")', {(404, "NOT_FOUND")}),
        ('raise HttpError(413, "Large.", "SOME_REASON")', {(413, "INVALID_ARGUMENT")}),
        ('raise HttpError(416, "Far.", error.reason or "SOME_REASON")', {(416, "OUT_OF_RANGE")}),
        ('WHY: Final = "SOME_REASON"\nraise Aborted("Late.", reason=WHY)', {(409, "ABORTED")}),
        ('class Own(Aborted): ...\nraise Own("Late.", reason="SOME_REASON")', {(409, "ABORTED")}),
        (
            'class Own(HttpError):\n    def __init__(self):\n        super().__init__(415, "No.", "SOME_REASON")',
            {(415, "INVALID_ARGUMENT")},
        ),
        (
            'def _busy(text, reason):\n    return Unavailable(text, reason=reason)\nraise _busy("No.", "SOME_REASON")',
            {(503, "UNAVAILABLE")},
        ),
        (
            'def _away(*, reason=""):\n    return Unavailable("", reason=reason)\nraise _away(reason="SOME_REASON")',
            {(503, "UNAVAILABLE")},
        ),
        (
            'raise Aborted("a", reason="SOME_REASON")\nraise HttpError(412, "b", "SOME_REASON")',
            {(409, "ABORTED"), (412, "ABORTED")},
        ),
    ],
)
def test_reasons_are_found_with_their_status(tree: Path, text: str, statuses: set[tuple[int, str]]) -> None:
    """A reason is found in each form of call that the code has, with the statuses that it is sent with."""
    write(tree, "edge/module.py", text)
    assert collect(tree).errors["SOME_REASON"].statuses == statuses


@pytest.mark.parametrize(
    "text",
    [
        'FieldViolation("name", "is wrong", "SOME_REASON")',
        'InvalidValue("is wrong", "SOME_REASON")',
        'def _wrong(reason):\n    return FieldViolation("name", "is wrong", reason)\n_wrong("SOME_REASON")',
    ],
)
def test_reasons_of_fields_are_found(tree: Path, text: str) -> None:
    """The reason of a violation is no reason of an error."""
    write(tree, "services/catalog/module.py", text)
    reasons = collect(tree)
    assert reasons.fields["SOME_REASON"].senders == {"catalog"}
    assert "SOME_REASON" not in reasons.errors


def test_helpers_of_other_modules_are_known(tree: Path) -> None:
    """A public function that makes an error with a reason is followed, and every sender is named."""
    write(tree, "mesh/helper.py", "def busy(reason):\n    return ResourceExhausted('', reason=reason)")
    write(tree, "mesh/module.py", "raise busy('SOME_REASON')")
    write(tree, "services/orders/module.py", "raise busy('SOME_REASON')")
    found = collect(tree).errors["SOME_REASON"]
    assert (found.senders, found.statuses) == ({"every process", "orders"}, {(429, "RESOURCE_EXHAUSTED")})


def test_other_texts_are_no_reasons(tree: Path) -> None:
    """Records of the audit, constants of other kinds, and the documentation's samples are left out."""
    write(tree, "services/identity/module.py", 'record("sign_in", reason="SOME_REASON")\nNAME = "OTHER_REASON"')
    write(tree, "edge/openapi/module.py", 'NotFound("Gone.", reason="SOME_REASON")')
    reasons = collect(tree)
    assert not {"SOME_REASON", "OTHER_REASON"} & (reasons.errors.keys() | reasons.fields.keys())


def test_contracts_declare_reasons(tree: Path) -> None:
    """The `invalid_reason` of a contract's policy is found in the descriptor image."""
    found = collect(tree).errors["INVALID_REQUEST"]
    assert (found.senders, found.statuses) == ({"identity"}, {(400, "INVALID_ARGUMENT")})


def test_a_reason_needs_an_entry(tree: Path) -> None:
    """A reason without an entry, and an entry without a reason, are each reported by name."""
    write(tree, "mesh/module.py", 'raise NotFound("Gone.", reason="SOME_REASON")')
    write(tree, "services/catalog/module.py", 'raise NotFound("Gone.", reason="CATALOG_REASON")')
    table = {"errors": {"INVALID_REQUEST": ["", ""], "OLD_REASON": ["", ""]}, "fields": {}}
    assert list(mismatches(collect(tree), table)) == [
        "services/catalog/errors.toml: [errors] has no entry for CATALOG_REASON. Say what it means and what to do.",
        "docs/errors.toml: [errors] has no entry for SOME_REASON. Say what it means and what to do.",
        "errors.toml: [errors] has an entry for OLD_REASON, which nothing sends. Remove it.",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('NotFound("Gone.", reason=f"{name}_GONE")', [1]),
        ('def fail(name):\n    reason = name.upper()\n    return NotFound("Gone.", reason=reason)', [3]),
        ('NotFound("Gone.", reason=error.reason)', []),
        ('def gone(reason):\n    return NotFound("Gone.", reason=reason)', []),
    ],
)
def test_a_computed_reason_has_to_be_declared(tree: Path, text: str, lines: list[int]) -> None:
    """A reason that can't be read from the code is reported with its place; one that is passed on is not."""
    write(tree, "edge/module.py", text)
    assert collect(tree).unread == [f"edge/module.py:{line}" for line in lines]


def test_tables_do_not_overlap(tree: Path) -> None:
    """The table of a service adds to the shared one, and a second entry for a reason is an error with its place."""
    write(tree, "docs/errors.toml", "[fields]\nONE = 'a'")
    write(tree, "services/catalog/errors.toml", "[fields]\nTWO = 'b'")
    assert entries(tree) == {"errors": {}, "fields": {"ONE": "a", "TWO": "b"}}
    write(tree, "services/orders/errors.toml", "[fields]\nTWO = 'c'")
    with pytest.raises(SystemExit, match=r"services/orders/errors\.toml: \[fields\] TWO has an entry elsewhere too"):
        entries(tree)


def test_the_page_is_fresh() -> None:
    """Every reason in the code has an entry, and writing the page again gives the committed text."""
    reasons, table = collect(ROOT), entries(ROOT)
    assert list(mismatches(reasons, table)) == []
    written = (ROOT / "docs/errors.md").read_text()
    assert page(reasons, table) == written, "run `make generate` and commit docs/errors.md"
