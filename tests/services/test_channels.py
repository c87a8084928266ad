"""The channels of all services."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_channel_names_its_service() -> None:
    """Without the name another workload can't check its callers, and would accept calls that a cluster rejects."""
    modules = [path for path in ROOT.glob("services/**/*.py") if "from mesh.client import Channel" in path.read_text()]
    calls = [
        (path, node)
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Channel"
    ]
    assert calls
    for path, call in calls:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert (given.get("caller"), given.get("in_mesh")) == ("process.name", "settings.service_mesh"), path
