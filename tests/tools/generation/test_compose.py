"""compose.yaml for services that need more or less than those of the store."""

from pathlib import Path

import pytest
import yaml
from protobuf.wkt import FileDescriptorSet

from local.declarations.checkout import read_services
from tests.declared_service import declare
from tools.generation.compose import write_compose

ROOT = Path(__file__).resolve().parents[3]
IMAGE = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())


def compose(folder: Path, **declarations: str) -> dict[str, dict[str, dict[str, object]]]:
    """Returns the file for services with these declarations."""
    for name, text in declarations.items():
        declare(folder, name, text)
    written: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(
        write_compose(read_services(folder, IMAGE.to_registry()))
    )
    return written


def test_the_template_names_no_service() -> None:
    """Each service is in compose.yaml because it is declared."""
    text = (ROOT / "tools/generation/compose.template.yaml").read_text()
    assert [service.name for service in read_services(ROOT) if service.name in text] == []


@pytest.mark.parametrize(
    ("name", "declaration", "depends_on"),
    [
        ("information", "", None),
        ("information", "database = true", {"migrations": {"condition": "service_completed_successfully"}}),
        ("catalog", "", {"broker": {"condition": "service_completed_successfully"}}),
        (
            "catalog",
            "database = true",
            {
                "migrations": {"condition": "service_completed_successfully"},
                "broker": {"condition": "service_completed_successfully"},
            },
        ),
    ],
)
def test_a_service_waits_for_what_it_uses(tmp_path: Path, name: str, declaration: str, depends_on: object) -> None:
    """A service waits until its database is migrated and the broker is provisioned, and for nothing else."""
    container = compose(tmp_path, **{name: declaration})["services"][name]
    assert container.get("depends_on") == depends_on


def test_variables_are_text_that_compose_does_not_change(tmp_path: Path) -> None:
    """Numbers and booleans become strings; a dollar stays one."""
    declaration = '[env]\nSTARS_MAX = 5\nOPEN = true\nPRICE = "$5: \\"${HOME}\\""\n'
    environment = compose(tmp_path, information=declaration)["services"]["information"]["environment"]
    assert isinstance(environment, dict)
    declared = {name: environment[name] for name in ("STARS_MAX", "OPEN", "PRICE")}
    assert declared == {"STARS_MAX": "5", "OPEN": "true", "PRICE": '$$5: "$${HOME}"'}


def test_a_database_may_have_the_name_of_a_word_of_sql(tmp_path: Path) -> None:
    """Names of roles and databases are quoted."""
    statements = compose(tmp_path, user="database = true")["configs"]["databases"]["content"]
    assert isinstance(statements, str)
    assert 'CREATE ROLE "user" LOGIN' in statements
    assert 'CREATE DATABASE "user" OWNER "user";' in statements
    assert 'REVOKE CONNECT ON DATABASE "postgres", "user" FROM PUBLIC;' in statements
