"""The whole mesh, started by the command of `make up` in a folder of its own on free ports, and clients of it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import asyncpg
import httpx
import psutil

from demo import audit
from local.home import Home
from local.ports import free_ports
from local.postgres import Postgres
from local.state import CRASH_LOOP_MIN, ProcessState, State

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 90.0
WAIT_TIMEOUT_S = 60.0
PASSWORD = "correct horse battery"
END_LEASES = {
    "notifications": """
        UPDATE webhook_endpoints SET lease_expire_time = now() WHERE lease_expire_time > now();
        UPDATE outgoing_messages SET due_time = now() WHERE due_time > now()
    """,
    "payments": "UPDATE payments SET due_time = now() WHERE due_time > now()",
}
"""Statements that end what a process of a service has taken for half a minute or longer, by the service."""


class Mesh:
    """A running mesh."""

    def __init__(self, home: Path, *, checkout: Path = ROOT, **environment: str) -> None:
        self.home = home
        self._killed: dict[str, int] = {}
        self._hastened: dict[str, int] = {}
        self.output = (home.parent / "output.txt").open("w+")
        self.supervisor = subprocess.Popen(
            [sys.executable, "-m", "local", "up"],
            cwd=checkout,
            env=os.environ | {"MESH_HOME": str(home), "PORTS": "free", "RELOAD": "off"} | environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @classmethod
    @contextlib.contextmanager
    def running(cls, home: Path, *, checkout: Path = ROOT, **environment: str) -> Iterator[Self]:
        """Starts a mesh, waits until every process is ready, and stops it at the end."""
        mesh = cls(home, checkout=checkout, **environment)
        try:
            mesh.wait_until_up()
            yield mesh
        finally:
            mesh.stop()

    def wait_until_up(self) -> None:
        """Waits until every process is ready."""
        eventually(lambda: "The mesh is up." in self.said() or self.supervisor.poll() is not None, START_TIMEOUT_S)
        assert self.supervisor.poll() is None, self.said()

    def said(self) -> str:
        """Returns everything that `make up` has printed."""
        return Path(self.output.name).read_text()

    def stop(self) -> None:
        """Stops the mesh as Ctrl-C does, and checks that no process is left."""
        with self.output:
            assert self.supervisor.poll() is None, self.said()
            family = psutil.Process(self.supervisor.pid).children(recursive=True)
            self.supervisor.send_signal(signal.SIGINT)
            status = self.supervisor.wait(WAIT_TIMEOUT_S)
        assert status == 0, status
        eventually(lambda: not any(map(alive, family)))  # RabbitMQ's helper processes end after it

    def process(self, name: str) -> ProcessState:
        """Returns the supervisor's state of a process."""
        states = State.read(self.home / "state.json").processes
        return next(state for state in states if state.name == name)

    def kill(self, name: str) -> None:
        """Kills a process by SIGKILL."""
        pid = self.process(name).pid
        assert pid is not None
        self._killed[name] = pid
        os.kill(pid, signal.SIGKILL)

    def wait_until_ready(self, name: str) -> None:
        """Waits until a killed process has a successor that is ready."""
        eventually(lambda: self._is_back(name) and self.answers_ready(name))

    def hasten(self, name: str) -> None:
        """Ends the pause before the next start of a process that was killed again and again, as `make restart` does."""
        state = self.process(name)
        looping = state.pid is None and state.crashes >= CRASH_LOOP_MIN
        if looping and self._hastened.get(name) != state.restarts:
            self._hastened[name] = state.restarts
            Home(self.home).request_restart(name)
            self.supervisor.send_signal(signal.SIGUSR1)

    def _is_back(self, name: str) -> bool:
        self.hasten(name)
        state = self.process(name)
        return state.ready and state.pid != self._killed.get(name)

    def answers_ready(self, name: str) -> bool:
        """Returns whether a process is ready by its /readyz, or by the supervisor's check if it has none."""
        url = self.process(name).readyz_url
        try:
            return url is None or httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def postgres(self) -> Postgres:
        """Returns the database server of the mesh, for its URLs."""
        return Postgres(self.home / "data" / Postgres.name, self.process(Postgres.name).port)

    async def end_leases(self, service: str) -> None:
        """Ends the leases of a process that was killed, as time does, so that its successor need not wait for that."""
        await self.execute(service, END_LEASES[service])

    async def execute(self, service: str, statement: str) -> None:
        """Executes a statement in the database of a service, as its role."""
        connection = await asyncpg.connect(self.postgres.url(service))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @contextlib.contextmanager
    def replica(self, name: str) -> Iterator["Replica"]:
        """Starts another process of a service, with the settings of the running one."""
        running = psutil.Process(self.process(name).pid)
        port, ops_port = free_ports(2)
        environment = running.environ() | {"GRPC_PORT": str(port), "OPS_PORT": str(ops_port)}
        process = subprocess.Popen(running.cmdline(), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)

        def ready() -> bool:
            assert process.poll() is None, f"the replica of {name} has ended"
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{ops_port}/readyz").status_code == 200
            return False

        try:
            eventually(ready)
            yield Replica(f"127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(30)

    @property
    def url(self) -> str:
        """Returns the URL of the edge."""
        return f"http://127.0.0.1:{self.process('edge').port}"

    def address(self, name: str) -> str:
        """Returns the gRPC address of a service."""
        return f"127.0.0.1:{self.process(name).port}"

    def staff_login(self) -> tuple[str, str]:
        """Returns the address and the password of the staff."""
        lines = (self.home / "staff-login.txt").read_text().splitlines()
        login = dict(line.split(": ", 1) for line in lines if ": " in line)
        return login["email"], login["password"]

    def mails(self, address: str) -> list[dict[str, Any]]:
        """Returns the mails that were sent to an address."""
        page = re.findall(r"^ +Mail +(\S+)$", self.said(), re.MULTILINE)[-1]
        messages: list[dict[str, Any]] = httpx.get(f"{page}messages").json()
        return [message for message in messages if address in message["to"]]

    def link_in_mail(self, address: str, subject: str) -> str:
        """Returns the link in the mail with this subject, once it has come."""
        [mail] = eventually(lambda: [mail for mail in self.mails(address) if mail["subject"] == subject])
        [link] = re.findall(r"http\S+token=\S+", mail["text"])
        return str(link)


@dataclass
class Replica:
    """Another process of a service, beside the one that the mesh started."""

    address: str
    process: "subprocess.Popen[bytes]"


class Client(httpx.Client):
    """A client of the public API; it calls as a user once it has a token."""

    def __init__(self, mesh: Mesh, **options: Any) -> None:
        super().__init__(base_url=mesh.url, timeout=30, **options)
        self.mesh = mesh
        self.email = ""

    @property
    def token(self) -> str:
        """Returns the access token that it uses."""
        return self.headers["authorization"].removeprefix("Bearer ")

    def sign_in(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        """Obtains a token by the password grant, and uses it from now on."""
        form = {"grant_type": "password", "username": email, "password": password}
        answer = self.post("/v1/oauth2/token", data=form)
        assert answer.status_code == 200, answer.text
        self.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        self.email = email
        tokens: dict[str, Any] = answer.json()
        return tokens

    def register(self) -> dict[str, Any]:
        """Registers a user with a new address and signs in."""
        email = f"{uuid.uuid4().hex}@example.com"
        body = {"email": email, "password": PASSWORD, "display_name": "Ada"}
        answer = self.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        self.sign_in(email)
        user: dict[str, Any] = answer.json()
        return user

    def confirm_address(self) -> None:
        """Confirms the address by the link in the first mail."""
        assert submit(self.mesh.link_in_mail(self.email, "Welcome to Meshwright")).status_code == 200

    def create_product(self, title: str = "Folding saw", units: int = 24, **fields: Any) -> dict[str, Any]:
        """Creates a product; requires staff."""
        price = {"currencyCode": "EUR", "units": str(units), "nanos": 900_000_000}
        product = {"title": title, "category": "garden-tools", "price": price} | fields
        answer = self.post("/v1/products", json=product)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def adjust_stock(self, product: dict[str, Any], units: int = 1000) -> None:
        """Adds units to the stock of a product; requires staff."""
        adjustment = {"delta": units, "reason": "REASON_RECEIVED"}
        answer = self.post(f"/v1/{product['name']}/stock:adjust", json={"adjustment": adjustment})
        assert answer.status_code == 200, answer.text

    def order(self, *products: dict[str, Any], request_id: str = "", payment_method: str = "") -> httpx.Response:
        """Orders one of each product."""
        lines = [{"product": product["name"], "quantity": 1} for product in products]
        headers = {"idempotency-key": request_id} if request_id else {}
        order = {"lines": lines} | ({"paymentMethod": payment_method} if payment_method else {})
        return self.post("/v1/orders", json=order, headers=headers)

    def wait_for_order(self, name: str, state: str) -> dict[str, Any]:
        """Waits until an order is in a state, and returns it."""

        def there() -> dict[str, Any] | None:
            order: dict[str, Any] = self.get(f"/v1/{name}").json()
            return order if order["state"] == state else None

        order: dict[str, Any] = eventually(there)
        return order


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """Makes a folder for the home of a mesh, into which PostgreSQL's own user can pass. Into pytest's own temporary
    folders it can't once another run of pytest has begun, which closes the one that all of them are in.
    """
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder, "home")


async def check_invariants(mesh: Mesh) -> None:
    """Checks that all invariants of the store hold."""
    findings = await audit.audit_mesh(Home(mesh.home), audit.SETTLE_S)
    broken = [each for each in findings if each.broken]
    assert broken == [], broken


def alive(process: psutil.Process) -> bool:
    """Returns whether a process runs; one that nobody has waited for yet does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def eventually(condition: Callable[[], Any], timeout_s: float = WAIT_TIMEOUT_S) -> Any:
    """Waits for a result that is true, and returns it. Fails after a timeout."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {timeout_s:.0f} s: {condition}")
        time.sleep(0.05)
    return result


def submit(link: str, **values: str) -> httpx.Response:
    """Opens the page to which a link leads, and sends its form."""
    url = httpx.URL(link)
    assert httpx.get(url).status_code == 200
    return httpx.post(url.copy_with(query=None), data={"token": url.params["token"], **values})


def problem(answer: httpx.Response) -> tuple[int, str, str, list[str]]:
    """Checks that an error has the common format; returns its HTTP status, gRPC status, reason and invalid fields."""
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    assert set(answer.json()) == {"error"}, answer.text
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    assert error["message"]
    details = error.get("details", [])
    reason = next((detail["reason"] for detail in details if detail["@type"].endswith("/google.rpc.ErrorInfo")), "")
    violations = [
        violation["field"]
        for detail in details
        if detail["@type"].endswith("/google.rpc.BadRequest")
        for violation in detail["fieldViolations"]
    ]
    return answer.status_code, error["status"], reason, violations


def oauth_error(answer: httpx.Response) -> tuple[int, str]:
    """Returns the HTTP status and the code of an error of OAuth 2.0 (RFC 6749, section 5.2)."""
    assert answer.headers["content-type"] == "application/json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"error", "error_description"}, answer.text
    return answer.status_code, answer.json()["error"]
