"""The output of `make up`, its related commands, and the data that it keeps."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from local.declarations.checkout import read_services
from tests.system.mesh import ROOT, Client, Mesh, alive, eventually, temporary_home

SERVICES = read_services(ROOT)
NAMES = ["postgres", "nats", "mail", *(service.name for service in SERVICES), "edge"]
DATABASES = ", ".join(service.name for service in SERVICES if service.declaration.database)


def run(mesh: Mesh, *module: str) -> "subprocess.CompletedProcess[str]":
    """Run one of the modules behind the Makefile's targets against this mesh."""
    environment = os.environ | {"MESH_HOME": str(mesh.home), "PORTS": "free"}
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def paste(text: str) -> str:
    """Run lines in a shell, as if they were pasted into a terminal; what they print."""
    return subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, check=True).stdout


def test_every_process_is_ready(mesh: Mesh) -> None:
    """`status` lists each process as ready and exits with 0, so that a script can wait for it."""
    # A process that other tests have killed some times is suspicious until it has run for a while.
    eventually(lambda: run(mesh, "local", "status").returncode == 0)
    status = run(mesh, "local", "status")
    rows = [line.split() for line in status.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[name, "ready"] for name in NAMES]


def test_the_printed_calls_work_as_they_stand(mesh: Mesh) -> None:
    """Pasted into a shell, they register a user, get a token, and are answered; and the welcome mail can be read."""
    printed = paste(mesh.said().split("Three calls to try:\n")[1].split("`make demo`")[0])
    assert "ada@example.com" in printed
    assert "The answer is 42." in printed
    eventually(lambda: mesh.mails("ada@example.com"))


def test_the_staff_login_is_kept_for_its_owner_only(mesh: Mesh, staff: Client) -> None:
    """The file is readable by its owner alone, and the call in it gets a token with which staff can write."""
    file = mesh.home / "staff-login.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    call = file.read_text().partition("\n\n")[2]
    token = paste(f'{call}\necho "$TOKEN"').strip()
    staff.headers["authorization"] = f"Bearer {token}"
    staff.create_product()


def test_a_second_mesh_in_the_same_place_is_refused(mesh: Mesh) -> None:
    """The error explains that a mesh runs already and how to stop it, and changes nothing."""
    second = run(mesh, "local", "up")
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(f"A mesh already runs here (process {mesh.supervisor.pid})")
    eventually(lambda: run(mesh, "local", "status").returncode == 0)


def test_the_demo_fills_the_shop_once(mesh: Mesh, anyone: Client, staff: Client) -> None:
    """The demo makes some hundred products and orders; run again, it adds nothing."""
    counts = []
    for _ in range(2):
        demo = run(mesh, "demo")
        assert demo.returncode == 0, demo.stderr
        counts.append((count(anyone, "products"), count(staff, "orders")))
    assert counts[0] == counts[1]
    assert counts[0] >= (300, 150)


def count(client: Client, collection: str) -> int:
    """Returns the number of resources over all pages."""
    found, token = 0, ""
    while True:
        page = client.get(f"/v1/{collection}", params={"pageSize": 1000, "pageToken": token}).json()
        found += len(page.get(collection, []))
        token = page.get("nextPageToken", "")
        if not token:
            return found


def test_dead_letters_are_listed(mesh: Mesh) -> None:
    """The command finds the service's database by itself, and names the services to choose from."""
    letters = run(mesh, "local", "dead-letters", "notifications")
    assert letters.returncode == 0
    assert "dead letter" in letters.stdout
    nobody = run(mesh, "local", "dead-letters", "nobody")
    assert nobody.returncode == 1
    assert f"with one of: {DATABASES}" in nobody.stderr
    both = run(mesh, "local", "dead-letters", "notifications", "--show", "a", "--replay", "a")
    assert both.returncode != 0
    assert "argument --replay: not allowed with argument --show" in both.stderr


def test_psql_opens_the_database_of_a_service(mesh: Mesh) -> None:
    """psql connects to the embedded PostgreSQL as the service's role, whatever other server the environment names; an
    error lists the valid names.
    """
    command = [sys.executable, "-m", "local", "psql", "orders"]
    elsewhere = {"PGSERVICE": "production", "PGHOSTADDR": "192.0.2.1", "PGSSLMODE": "require"}
    environment = os.environ | elsewhere | {"MESH_HOME": str(mesh.home)}
    query = "SELECT current_user, current_database();"
    psql = subprocess.run(command, cwd=ROOT, env=environment, input=query, capture_output=True, text=True, check=True)
    assert "orders       | orders" in psql.stdout
    nobody = run(mesh, "local", "psql", "information")
    assert nobody.returncode == 1
    assert f"make psql SERVICE=<service> with one of: {DATABASES}" in nobody.stderr


def test_events_are_followed_until_ctrl_c(mesh: Mesh, staff: Client, customer: Client) -> None:
    """Each event is a line of JSON, past ones first; Ctrl-C ends it without an error."""
    placed = [customer.order(staff.create_product()).json()["name"]]
    customer.wait_for_order(placed[0], "STATE_CANCELLED")  # there are no units: a second event
    command = [sys.executable, "-m", "local", "events", "orders"]
    environment = os.environ | {"MESH_HOME": str(mesh.home)}
    with (
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail,
        ExitStack() as stack,
    ):
        stack.callback(tail.kill)  # or a failure would wait for it for ever
        assert tail.stdout is not None
        assert tail.stderr is not None
        found: list[str] = []
        while found[-2:] != placed * 2:
            found.append(order_of(tail.stdout.readline()))
        placed.append(customer.order(staff.create_product()).json()["name"])
        assert order_of(tail.stdout.readline()) == placed[1]
        tail.send_signal(signal.SIGINT)
        assert (tail.wait(), tail.stderr.read()) == (0, b"")


def order_of(line: bytes) -> str:
    """The order that an event is about."""
    event = json.loads(line)
    assert event["type"].startswith("meshwright.orders.v1.")
    return str(event["data"]["order"]["name"])


def test_mails_are_listed(mesh: Mesh, customer: Client) -> None:
    """The mail to a new customer is in the list, with its text."""
    eventually(lambda: f"to {customer.email}: " in run(mesh, "local", "mails").stdout)


@pytest.fixture
def home() -> Iterator[Path]:
    """Makes a folder in which a separate mesh keeps its state."""
    with temporary_home() as folder:
        yield folder


def test_data_is_kept_until_it_is_cleaned(home: Path) -> None:
    """`down` stops every process and keeps the data, the next start finds it, and `clean` leaves nothing."""
    first = Mesh(home)
    first.wait_until_up()
    with Client(first) as client:
        client.register()
        email = client.email
    family = psutil.Process(first.supervisor.pid).children(recursive=True)
    assert run(first, "local", "down").returncode == 0
    assert first.supervisor.wait() == 0
    assert not any(map(alive, family))
    first.output.close()

    status = run(first, "local", "status")
    assert (status.returncode, status.stdout) == (1, "No mesh runs here. `make up` starts one.\n")
    demo = run(first, "demo")
    assert (demo.returncode, demo.stderr) == (1, "No mesh runs here. Start one with `make up`, and try again.\n")

    second = Mesh(home)
    second.wait_until_up()
    with Client(second) as client:
        client.sign_in(email)
    assert run(second, "local", "clean").returncode == 0
    assert second.supervisor.wait() == 0
    second.output.close()
    assert not home.exists()
