"""The names of a new service, in every spelling."""

import asyncpg
import pytest

from local.postgres import SUPERUSER, Postgres
from tools.scaffold.names import Names, WrongName, plural, singular
from tools.scaffold.template_files import names_in_code, rendered


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("review", "reviews"),
        ("order_item", "order_items"),
        ("category", "categories"),
        ("toy", "toys"),
        ("box", "boxes"),
        ("address", "addresses"),
        ("batch", "batches"),
    ],
)
def test_a_noun_has_a_plural(one: str, many: str) -> None:
    """Regular nouns are formed in both directions."""
    assert plural(one) == many
    assert singular(many) == one
    assert singular(one) == one


def test_a_hyphen_is_an_underscore() -> None:
    """Both spellings of a name of several words mean the same service, and its resource is the singular."""
    assert Names.read("order-items", "", used=set()) == Names.read("order_items", "", used=set())
    assert Names.read("order-items", "", used=set()) == Names("order_items", "order_item")
    assert Names.read("warehouse", "box", used=set()).resources == "boxes"


@pytest.mark.parametrize(
    ("service", "resource", "why"),
    [
        ("Order Items", "", "Did you mean order_items?"),
        ("orderItems", "", "Did you mean order_items?"),
        ("9lives", "", "Write it as a Python package"),
        ("edge", "", "The mesh itself has these"),
        ("google", "", "Contracts import the packages of these names"),
        ("public", "", "PostgreSQL itself has these"),
        ("pg_stats", "", "PostgreSQL itself has the names that begin with pg_"),
        ("null", "", "YAML 1.1 reads these as no text"),
        ("on", "", "YAML 1.1 reads these as no text"),
        ("papers", "reference", "would have the name 'references'"),
        ("import", "", "a word of Python"),
        ("types", "", "RESOURCE=<a noun in the singular>"),
        ("messages", "", "would have the name 'message'"),
        ("calls", "", "would have the name 'Call'"),
        ("a" * 38, "", "has more than 30 characters"),
        ("reviews", "my review!", "'my review!' can't be the name"),
    ],
)
def test_a_wrong_name_is_a_sentence(service: str, resource: str, why: str) -> None:
    """The error explains the fault and the remedy."""
    with pytest.raises(WrongName) as caught:
        Names.read(service, resource, used=names_in_code())
    assert why in str(caught.value)


async def test_no_table_has_a_reserved_name(postgres: Postgres) -> None:
    """A plural that the server itself reserves is refused."""
    connection = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
    try:
        rows = await connection.fetch("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    finally:
        await connection.close()
    nouns = {word: singular(word) for word in (row["word"] for row in rows)}
    plurals = {word: noun for word, noun in nouns.items() if plural(noun) == word and noun}
    assert "references" in plurals
    for noun in plurals.values():
        with pytest.raises(WrongName):
            Names.read("papers", noun, used=set())


def test_every_spelling_is_replaced() -> None:
    """Nothing of the template's names is left, in paths neither, and an article fits its noun."""
    files = rendered(Names("warehouse", "order_item"))
    everything = "\n".join([*map(str, files), *files.values()]).lower()
    assert "sample" not in everything
    assert "a order item" not in everything
    assert "an order item" in everything
    assert "services/warehouse/migrations/0001_order_items.sql" in map(str, files)
    assert 'NAME_PREFIX = "orderItems/"' in "\n".join(files.values())


def test_lines_fit_the_longest_name() -> None:
    """Texts and comments, which no formatter wraps, are short enough for every name."""
    files = rendered(Names("w" * 38, "o" * 30))
    texts = [line for text in files.values() for line in text.splitlines() if '"""' in line or line.startswith("#")]
    assert max(map(len, texts)) <= 120
    contracts = [text for path, text in files.items() if path.suffix == ".proto"]
    assert max(len(line) for text in contracts for line in text.splitlines() if "//" in line) <= 100
