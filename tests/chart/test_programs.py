"""The image contains all that the chart and compose.yaml start: the code that the Dockerfile copies, the packages of
requirements.txt.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tests.chart.render import ROOT, Object, rendered

IMPORT = """
import importlib.util, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"the image holds no {name}", name=name)

ABSENT = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Absent())
program = importlib.util.find_spec(sys.argv[1])
assert program, "it is not there"
importlib.import_module(sys.argv[1] + ".__main__" if program.submodule_search_locations else sys.argv[1])
"""


def of_the_chart() -> Iterator[str]:
    """The modules that the containers of a default installation run."""
    for each in rendered("default"):
        template = each.get("spec", {}).get("template", {})
        pod: Object = template.get("spec", {})
        for container in [*pod.get("initContainers", ()), *pod.get("containers", ())]:
            if container["command"][:2] == ["python", "-m"]:
                yield container["command"][2]


def of_compose() -> Iterator[str]:
    """The modules that compose.yaml runs from our image."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in services.values():
        if "meshwright" in service["image"]:
            yield service["command"][0]


@cache
def absent_packages() -> frozenset[str]:
    """Returns the top-level modules that are installed here in addition to requirements.txt."""
    pinned = {_normal(name) for name in re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.txt").read_text())}
    found = packages_distributions()
    return frozenset(name for name, owners in found.items() if not pinned & set(map(_normal, owners)))


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the Dockerfile copies to /app."""
    folder = tmp_path_factory.mktemp("app")
    for source, target in re.findall(r"(?m)^COPY (\S+) /code/app/(\S+)$", (ROOT / "Dockerfile").read_text()):
        (folder / target).symlink_to(ROOT / source)
    return folder


@pytest.mark.parametrize("module", sorted({*of_the_chart(), *of_compose()}))
def test_a_program_needs_only_what_the_image_holds(image: Path, module: str) -> None:
    """A program imports without the packages that only a checkout has, such as those of the local mesh."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT, module, ",".join(absent_packages())],
        cwd=image,
        env={"PYTHONPATH": f"{image}:{image / 'gen'}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
