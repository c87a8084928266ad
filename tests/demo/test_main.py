"""The commands of the demo, as their user meets them."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo import chaos, shoppers, simulate
from demo.client import Shop
from demo.faults import Faults
from demo.link import Link
from demo.shoppers import Figures, Shoppers
from local.errors import SetupError
from local.home import Home
from mesh.http_server import HttpServer
from mesh.listening import bind

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["demo", "demo.simulate", "demo.audit", "demo.chaos"])
def test_a_name_that_no_folder_can_have_is_a_sentence(module: str) -> None:
    """Each command names the setting."""
    environment = {**os.environ, "MESH_HOME": "a" * 300}
    command = (sys.executable, "-m", module)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(" can't be the mesh's folder: File name too long. Set MESH_HOME to another one.\n")
    assert "Traceback" not in done.stderr


async def test_the_shop_is_called_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY, which pip may need, has no say in calls within this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr(shoppers, "GIVE_UP_S", 0)

    async def reply(request: Request) -> Response:
        return JSONResponse({"access_token": "token", "name": "products/1"})

    app = Starlette(routes=[Route("/{path:path}", reply, methods=["POST"])])
    async with HttpServer(app, bind("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with Shop(url) as shop:
            assert await shop.token("ada@example.com", "password") == "token"
        async with Shoppers(url, ("staff@example.com", "password"), seed=1, visits=1, people=1, products=1):
            pass


async def test_no_fault_happens_to_a_mesh_that_has_stopped(tmp_path: Path) -> None:
    """A chaos run during which somebody stops the mesh ends with a sentence."""
    async with Link(1) as link:
        with pytest.raises(SetupError, match="has stopped"):
            await Faults(Home(tmp_path), link, seed=1).cause_one()


async def test_a_mesh_that_has_stopped_is_not_ready(tmp_path: Path) -> None:
    """A chaos run does not take a mesh without processes for one whose processes are all ready."""
    with pytest.raises(SetupError, match="has stopped"):
        await chaos._until_ready(Home(tmp_path))


async def test_a_simulation_ends_with_a_visit_that_breaks() -> None:
    """The failure of the program, unlike that of the shop, is not dropped."""

    async def visit(_number: int) -> None:
        raise LookupError("a page")

    shoppers: Any = SimpleNamespace(visit=visit, figures=Figures())
    with pytest.raises(LookupError, match="a page"):
        await simulate._come(shoppers, rate=100.0, duration_s=0.1)
