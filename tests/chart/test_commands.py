"""The commands on the pages that install or upgrade a release: their values are valid."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.chart.render import CHART, MONITORING, ROOT, template

PAGES: Final = ("README.md", "charts/meshwright/README.md", "docs/operations.md")
COMMAND: Final = re.compile(r"helm (?:install|upgrade) shop charts/meshwright\b[^\n`'#]*")
ONLY_WITH_A_CLUSTER: Final = "--reset-then-reuse-values"
VALUES_OF_THE_READER: Final = "ours.yaml"


def commands(page: str) -> list[str]:
    """Returns the complete commands of a page that install or upgrade the chart."""
    return COMMAND.findall((ROOT / page).read_text().replace("\\\n", " "))


def test_pages_have_commands() -> None:
    """No page is left out because its commands are written in another way."""
    assert all(commands(page) for page in PAGES)


@pytest.mark.parametrize(("page", "command"), [(page, each) for page in PAGES for each in commands(page)])
def test_a_command_renders(page: str, command: str, tmp_path: Path) -> None:
    """Helm accepts the values of the command, on a cluster that has Linkerd and a Prometheus operator."""
    (tmp_path / VALUES_OF_THE_READER).touch()
    files = {
        VALUES_OF_THE_READER: str(tmp_path / VALUES_OF_THE_READER),
        "charts/meshwright/values-production.yaml": str(CHART / "values-production.yaml"),
    }
    _, _, _, _, *given = shlex.split(command)
    arguments = [files.get(each, each) for each in given if each != ONLY_WITH_A_CLUSTER]
    known = [part for api in MONITORING for part in ("--api-versions", api)]
    done = template(*arguments, *known)
    assert done.returncode == 0, f"{page}: {command}\n{done.stderr}"
