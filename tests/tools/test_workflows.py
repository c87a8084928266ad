"""The workflows of continuous integration; `make lint` checks their syntax with actionlint."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OTHER_COMMANDS: Final = ("bash .ci/run", "printf ", "gh release create ")
PINNED: Final = re.compile(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the jobs of a workflow, by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def commands(path: Path) -> Iterator[str]:
    """Yields every command that a workflow runs."""
    for job in jobs(path).values():
        for step in job.get("steps", []):
            if "run" in step:
                yield from step["run"].strip().splitlines()


def targets() -> set[str]:
    """Returns the targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    return set(phony[1].split())


def test_there_are_workflows() -> None:
    """There is a workflow, so that the other tests check something."""
    assert [path.stem for path in WORKFLOWS] == ["cluster", "release", "test"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_targets_that_exist_are_called(path: Path) -> None:
    """Each command of a workflow is a target of the Makefile, except for signing in and publishing."""
    for command in commands(path):
        if not command.startswith(OTHER_COMMANDS):
            program, target, *variables = shlex.split(command)
            assert program == "make"
            assert target in targets()
            assert all(re.match(r"[A-Z]+=", variable) for variable in variables)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(path: Path) -> None:
    """Each action is one of GitHub's own, at a commit, with its version beside it; or a workflow of this repository."""
    used = [line.strip(" -") for line in path.read_text().splitlines() if re.match(r"[ -]*uses:", line)]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line) and not line.startswith("uses: ./")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_limits(path: Path) -> None:
    """The token can only read, except in the job that creates the release; runs exclude each other; jobs end."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 90
        if job.get("permissions", {}) != {}:
            assert not any("checkout" in step.get("uses", "") for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_command_contains_an_expression(path: Path) -> None:
    """Values of events reach commands as environment variables only, so that none is run as a part of the script."""
    assert [command for command in commands(path) if "${{" in command] == []
