"""compose.yaml in real containers: `make compose-test`. It takes minutes and needs Docker; `make test` omits it."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local.declarations.checkout import read_services
from local.declarations.service import Service
from local.ports import free_ports
from tests import broker_attempts
from tools.compose_secrets import names

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("IMAGE", "meshwright:dev")
BROKER = os.environ.get("BROKER", "nats")
FILES = ["--file", "compose.yaml", "--file", "compose.rabbitmq.yaml"] if BROKER == "rabbitmq" else []
WAIT_S = 120.0
PARTICIPANTS = [service for service in read_services(ROOT) if service.events]
GATEWAY = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
ADA = {"email": "ada@example.com", "password": "analytical engine", "display_name": "Ada"}


class CommandFailed(AssertionError):
    """A command ended with an error, which is its text."""


class Compose:
    """A project of its own, with its own volumes, ports and secrets."""

    def __init__(self) -> None:
        self.port, self.mail_port = free_ports(2)
        self.secrets = {name: secrets.token_hex(24) for name in names()}
        ports = {"PORT": str(self.port), "MAIL_PAGE_PORT": str(self.mail_port)}
        self._environment = {**os.environ, **self.secrets, **ports}
        self._command = ["docker", "compose", *FILES, "--project-name", f"meshwright-test-{self.port}"]

    def run(self, *arguments: str) -> str:
        """Runs `docker compose` and returns its output."""
        done = subprocess.run(
            [*self._command, *arguments], cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:  # an assertion's text would hold the command, too
            raise CommandFailed(f"{done.stdout}{done.stderr}")
        return done.stdout

    def inspect(self, service: str, template: str) -> str:
        """A fact about the service's container."""
        return docker("inspect", "--format", template, self.run("ps", "--all", "--quiet", service).strip())

    def kill(self, service: str) -> None:
        """Ends the service's process as a lack of memory would: Docker takes its own `docker kill` for a wish."""
        program = f"import os; os.kill({self.inspect(service, '{{.State.Pid}}')}, 9)"
        docker("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "python3", IMAGE, "-c", program)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """All containers up and healthy; gone with their volumes afterwards."""
    project = Compose()
    try:
        project.run("up", "--detach", "--wait")
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "20")


@pytest.fixture(scope="module")
def client(compose: Compose) -> Iterator[httpx.Client]:
    """A client of the edge that has registered and signed in."""
    with httpx.Client(base_url=f"http://localhost:{compose.port}", timeout=30) as client:
        assert client.post("/v1/users", json=ADA).status_code == 201
        form = {"grant_type": "password", "username": ADA["email"], "password": ADA["password"]}
        client.headers["authorization"] = f"Bearer {client.post('/v1/oauth2/token', data=form).json()['access_token']}"
        yield client


def test_the_calls_of_the_readme(client: httpx.Client, compose: Compose) -> None:
    """A token's bearer learns the answer, an order is made, and the welcome mail is on the page."""
    assert client.get("/v1/information").json() == {"text": "The answer is 42."}
    product = new_product(compose)
    order = client.post("/v1/orders", json={"lines": [{"product": product, "quantity": 2}]})
    assert order.status_code == 201, order.text
    again = client.get(f"/v1/{order.json()['name']}")
    assert again.json() == order.json()
    mails = f"http://localhost:{compose.mail_port}/{compose.secrets['MAIL_PAGE_TOKEN']}/messages"
    eventually(lambda: ADA["email"] in httpx.get(mails).text)


def test_a_service_by_grpcurl(client: httpx.Client, compose: Compose) -> None:
    """Reflection and a call with a token, in the containers' own network."""
    address = compose.inspect("information", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}") + ":9000"
    method = "meshwright.information.v1.InformationService/GetInformation"
    token = ["-H", f"authorization: {client.headers['authorization']}"]
    said = subprocess.run(
        [ROOT / ".tools/bin/grpcurl", "-plaintext", *token, address, method], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(said) == {"text": "The answer is 42."}


@pytest.mark.parametrize("service", ["orders", "postgres", BROKER, "edge"])
def test_what_is_killed_comes_back(client: httpx.Client, compose: Compose, service: str) -> None:
    """A process that is killed is restarted, and the mesh answers again with all that it knew."""
    before = client.get("/v1/orders").json()
    assert before["orders"], "there is something to lose"
    started = compose.inspect(service, "{{.State.StartedAt}}")
    compose.kill(service)
    eventually(lambda: compose.inspect(service, "{{.State.StartedAt}}") != started)
    eventually(lambda: compose.inspect(service, "{{.State.Health.Status}}") == "healthy")
    eventually(lambda: answers(client, before))


def test_the_data_outlive_the_containers(client: httpx.Client, compose: Compose) -> None:
    """Without its containers, and then with new ones, the mesh knows the orders and the keys of tokens that it gave."""
    before = client.get("/v1/orders").json()
    assert before["orders"]
    compose.run("down")
    compose.run("up", "--detach", "--wait")
    assert client.get("/v1/orders").json() == before


@pytest.mark.parametrize("service", ["edge", *(each.workload for each in read_services(ROOT)), "mail"])
def test_a_process_may_do_little(compose: Compose, service: str) -> None:
    """No container is root, has a writable root file system, or can gain privileges."""
    facts = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
    assert compose.inspect(service, facts) == "10001:10001 true [ALL] [no-new-privileges:true]"


@pytest.mark.parametrize(("database", "opens"), [("orders", True), ("identity", False), ("postgres", False)])
def test_a_service_opens_its_own_database_only(compose: Compose, database: str, opens: bool) -> None:
    """With the password of one service, no database of another can be read."""
    url = f"postgresql://orders:{compose.secrets['ORDERS_DATABASE_PASSWORD']}@127.0.0.1/{database}"
    try:
        said = compose.run("exec", "-T", "postgres", "psql", url, "--tuples-only", "--command", "SELECT 'opened'")
    except CommandFailed as error:
        said = str(error)
    assert ("opened" in said, "permission denied for database" in said) == (opens, not opens)


@pytest.mark.skipif(BROKER != "nats", reason="The attempts are made in the protocol of NATS.")
@pytest.mark.parametrize("service", PARTICIPANTS, ids=lambda service: service.name)
def test_a_service_has_its_own_rights_at_the_broker(compose: Compose, service: Service) -> None:
    """With its container's credentials, a service can't publish, read or listen for another, or change the stream."""
    program = ["python3", "-c", Path(broker_attempts.__file__).read_text(), *(each.name for each in PARTICIPANTS)]
    said = compose.run("exec", "-T", service.workload, *program)
    assert set(said.splitlines()) == broker_attempts.allowed(
        service.name, publishes=bool(service.publishes), consumes=bool(service.consumes)
    )


def test_a_proxy_on_this_machine_names_the_client(compose: Compose) -> None:
    """Docker leads its connections through the network's gateway, which the edge believes: the audit log has the client
    that X-Forwarded-For names, and without it the gateway.
    """
    forwarded, gateway = "198.51.100.7", compose.inspect("edge", GATEWAY)
    with httpx.Client(base_url=f"http://localhost:{compose.port}", timeout=30) as client:
        for headers in ({}, {"x-forwarded-for": forwarded}):
            form = {"grant_type": "password", "username": "nobody@example.com", "password": "not the password"}
            assert client.post("/v1/oauth2/token", data=form, headers=headers).status_code == 400
    lines = compose.run("logs", "--no-log-prefix", "identity").splitlines()
    # Compose 2.26 puts a control sequence in front of each line.
    records = [json.loads(line[line.index("{") :]) for line in lines if '"audit"' in line]
    assert [each["client"] for each in records if each["event"] == "sign_in"][-2:] == [gateway, forwarded]


def test_without_its_secrets_nothing_starts() -> None:
    """The command fails with the name of the missing variable and the target that creates it."""
    command = ["docker", "compose", "--env-file", "/dev/null", "config", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name not in names()}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is missing a value: run make compose" in done.stderr


def docker(*arguments: str) -> str:
    """Runs the command and returns its output."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def new_product(compose: Compose) -> str:
    """The name of a product that staff has made."""
    with httpx.Client(base_url=f"http://localhost:{compose.port}", timeout=30) as staff:
        password = compose.secrets["STAFF_PASSWORD"]
        form = {"grant_type": "password", "username": "staff@example.com", "password": password}
        token = staff.post("/v1/oauth2/token", data=form).json()["access_token"]
        cup = {"title": "A cup", "category": "kitchen", "price": {"currencyCode": "EUR", "units": "5"}}
        made = staff.post("/v1/products", json=cup, headers={"authorization": f"Bearer {token}"})
        assert made.status_code == 201, made.text
        name: str = made.json()["name"]
        return name


def answers(client: httpx.Client, orders: object) -> bool:
    """Returns whether the orders exist."""
    try:
        response = client.get("/v1/orders")
    except httpx.TransportError:
        return False
    return response.status_code == 200 and response.json() == orders


def eventually(holds: Callable[[], bool]) -> None:
    """Returns as soon as it holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.5)
