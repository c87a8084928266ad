"""services/<name>/service.toml: its keys, and the errors in it."""

from pathlib import Path

import pytest

from local.declarations.declaration import Declaration, DeclarationFile
from local.declarations.problem import WrongDeclarations

ROOT = Path(__file__).resolve().parents[3]


def read(folder: Path, text: str, name: str = "reviews") -> DeclarationFile:
    """Returns the declaration of a service with this text."""
    path = folder / "services" / name / "service.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return DeclarationFile(folder, name)


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key has its meaning, and variables become the text that a process gets."""
    text = (
        "database = true\nmail = true\nsms = true\ninternet = true\nissues_tokens = true\n"
        'generated_secrets = ["A_SECRET"]\nmemory = "96Mi"\n'
        'port = 9077\n[env]\nSTARS_MAX = 5\nMODERATED = true\nMAIL_FROM = "Shop <shop@example.com>"\n'
    )
    declaration = read(tmp_path, text).declaration
    assert declaration.environment() == {
        "STARS_MAX": "5",
        "MODERATED": "true",
        "MAIL_FROM": "Shop <shop@example.com>",
    }
    assert declaration.model_dump(exclude={"env"}) == {
        "database": True,
        "mail": True,
        "sms": True,
        "internet": True,
        "issues_tokens": True,
        "generated_secrets": ("A_SECRET",),
        "memory": "96Mi",
        "port": 9077,
    }


def test_an_empty_file_declares_a_service_that_needs_nothing(tmp_path: Path) -> None:
    """The defaults are no database, no mail, no secrets."""
    assert read(tmp_path, "").declaration == Declaration()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("database = true\ndatabse = true\n", 2, "databse is not known. Did you mean database?"),
        ("\n[store]\nkind = 1\n", 2, "store is not known. Known are database, mail, "),
        ('# database\ndatabase = "yes"\n', 2, "database must be true or false."),
        ("mail = 1", 1, "mail must be true or false."),
        ("port = true", 1, "port must be a whole number from 1024 to 65435."),
        ("port = 80", 1, "port must be a whole number from 1024 to 65435."),
        ("port = 65436", 1, "port must be a whole number from 1024 to 65435."),
        ('memory = "lots"', 1, 'memory must be a quantity such as "96Mi".'),
        ('generated_secrets = "A"', 1, "generated_secrets must be a list of variables in capitals"),
        ('generated_secrets = ["a"]', 1, "generated_secrets must be a list of variables in capitals"),
        ('generated_secrets = ["A", "A"]', 1, "A is named twice."),
        ("env = 1", 1, "env must be a table of variables: [env]"),
        ("[env]\nA = 1\nB = [1]\n", 3, "B must be a variable in capitals with a string, a number, true or false."),
        ("[env]\nA = 1\nlower = 1\n", 3, "lower must be a variable in capitals"),
        ('[env]\nDATABASE_URL = "x"\n', 2, "DATABASE_URL is set for the service by what is derived"),
        ('[env]\nCATALOG_ADDRESS = "x"\n', 2, "CATALOG_ADDRESS is set for the service by what is derived"),
        ('generated_secrets = ["POSTGRES_PASSWORD"]', 1, "POSTGRES_PASSWORD is set for the service by"),
        ('generated_secrets = ["A"]\n[env]\nA = 1', 3, "A is both a generated secret and a variable of [env]."),
        ("database = true\nmail = yes\n", 2, "is not TOML: "),
        ("database = true\n[env", 2, "is not TOML: "),
        ("mail = true\nmail = true\n", 2, "is not TOML: "),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    """An error has the file, the line, and the valid values."""
    with pytest.raises(WrongDeclarations) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"services/reviews/service.toml:{line}: {why}")


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    """One run shows every line to fix."""
    with pytest.raises(WrongDeclarations) as caught:
        read(tmp_path, "database = 1\nmail = 2\n")
    assert [problem.line for problem in caught.value.problems] == [1, 2]


@pytest.mark.parametrize(
    "name",
    [
        *("order-items", "Orders", "_orders", "9lives", "orders_", "a__b", "a" * 39),
        *("edge", "generation", "mail_ops", "mail_page", "smtp"),
        *("nats", "buf", "google", "meshwright", "none", "public", "template1", "pg_stats"),
        *("false", "n", "no", "null", "off", "on", "true", "y", "yes"),
    ],
)
def test_a_name_that_cannot_be_one_is_a_sentence(tmp_path: Path, name: str) -> None:
    """Names of services are Python packages, fit into names of Kubernetes, are text for YAML, and belong to nobody."""
    with pytest.raises(WrongDeclarations, match=rf"^services/{name}/service\.toml:1: '{name}' can't be the name of a"):
        read(tmp_path, "", name)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """The error explains what an empty file would mean."""
    with pytest.raises(WrongDeclarations, match=r"^services/reviews/service\.toml:1: is missing\. An empty file"):
        DeclarationFile(tmp_path, "reviews")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """Text of another encoding is named with its line."""
    path = tmp_path / "services/reviews/service.toml"
    path.mkdir(parents=True)
    with pytest.raises(WrongDeclarations, match=r"^services/reviews/service\.toml:1: can't be read: Is a directory\.$"):
        DeclarationFile(tmp_path, "reviews")
    path.rmdir()
    path.write_bytes(b"mail = true\n# caf\xe9\n")
    with pytest.raises(WrongDeclarations, match=r"^services/reviews/service\.toml:2: is not UTF-8\."):
        DeclarationFile(tmp_path, "reviews")
