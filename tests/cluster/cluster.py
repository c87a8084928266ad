"""The cluster that KUBECONFIG names, by kubectl and Helm; and a release of the chart on it."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.declarations.checkout import read_services
from tests.cluster.manifests import client_pod, namespace

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "meshwright"
GRPCURL = ROOT / ".tools" / "bin" / "grpcurl"
LOAD = Path(__file__).with_name("load.py")
BROKER_ATTEMPTS = ROOT / "tests" / "broker_attempts.py"

IMAGE = os.environ.get("IMAGE", "meshwright:dev")
BROKER = os.environ.get("BROKER", "nats")
TRIAL_IMAGES = {
    name: os.environ[f"{name.upper()}_IMAGE"] for name in ("postgres", BROKER) if f"{name.upper()}_IMAGE" in os.environ
}
VALUES = os.environ.get("VALUES", "")

READY_S = 300
ADA = {"email": "ada@example.com", "password": "analytical engine", "display_name": "Ada"}
CUP = {"title": "A cup", "category": "kitchen", "price": {"currencyCode": "EUR", "units": "5"}}
DEPLOYMENTS = tuple(sorted(["edge", *(service.workload for service in read_services(ROOT))]))

Object = dict[str, Any]


class CommandFailed(AssertionError):
    """A program ended with an error, which is its text."""


def run(*command: str | Path, text: str | None = None, timeout_s: float = READY_S + 60) -> str:
    """Runs a program and returns its output. Raises CommandFailed with the output and the errors if it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*arguments: str, text: str | None = None, timeout_s: float = READY_S + 60) -> str:
    """Runs kubectl and returns its output."""
    return run("kubectl", *arguments, text=text, timeout_s=timeout_s)


def helm(*arguments: str) -> str:
    """Runs Helm and returns its output."""
    return run(ROOT / ".tools" / "bin" / "helm", *arguments)


def eventually(holds: Callable[[], bool], *, within_s: float = READY_S) -> None:
    """Returns as soon as it holds; a command that fails meanwhile is asked again."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if holds():
                return
        except CommandFailed:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.5)


def mesh_runs() -> bool:
    """Returns whether Linkerd injects its proxy and enforces its policies in this cluster."""
    found = kubectl(
        "get",
        "deployments",
        "--all-namespaces",
        "--output=name",
        "--selector=linkerd.io/control-plane-component=destination",
    )
    return bool(found.strip())


def values_of_the_run(image: str) -> list[str]:
    """Returns our image, the broker and the images of the trial servers, as arguments of Helm."""
    repository, _, tag = image.rpartition(":")
    trial = [f"{name}.image={image}" for name, image in TRIAL_IMAGES.items()]
    broker = [f"{name}.enabled={str(name == BROKER).lower()}" for name in ("nats", "rabbitmq")]
    values = ["--values", VALUES] if VALUES else []
    return [*values, "--set", ",".join([f"image.repository={repository},image.tag={tag}", *broker, *trial])]


@contextmanager
def packaged(version: str) -> Iterator[Path]:
    """The chart as it is, under another version."""
    with tempfile.TemporaryDirectory() as folder:
        helm("package", str(CHART), f"--version={version}", f"--app-version={version}", f"--destination={folder}")
        yield Path(folder, f"meshwright-{version}.tgz")


class Release:
    """The release "shop" in a namespace of its own."""

    def __init__(self, name: str) -> None:
        self.namespace = name

    @contextmanager
    def in_namespace(self, *, restricted: bool = True) -> Iterator["Release"]:
        """The namespace is there, where pods have to be restricted; it is gone with all that is in it afterwards."""
        # Without its CNI plugin Linkerd needs rights that "restricted" refuses.
        restricted = restricted and not mesh_runs()
        kubectl("apply", "--filename=-", text=json.dumps(namespace(self.namespace, restricted=restricted)))
        try:
            yield self
        finally:
            kubectl("delete", "namespace", self.namespace)

    def install(self, *arguments: str, chart: Path = CHART, image: str = IMAGE) -> None:
        """Installs it, or upgrades it to other values, and waits until all is ready."""
        self.helm(
            "upgrade",
            "shop",
            str(chart),
            "--install",
            "--wait",
            f"--timeout={READY_S}s",
            *values_of_the_run(image),
            *arguments,
        )

    def helm(self, *arguments: str) -> str:
        """Runs Helm in this namespace and returns its output."""
        return helm(*arguments, "--namespace", self.namespace)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Runs kubectl in this namespace and returns its output."""
        return kubectl("--namespace", self.namespace, *arguments, text=text)

    def memory(self) -> dict[str, int]:
        """Returns the bytes that each pod uses, as the kubelets of their nodes measure them: the working set."""
        nodes = {pod["spec"]["nodeName"] for pod in self.get("pods")}
        summaries = [json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")) for node in nodes]
        return {
            pod["podRef"]["name"]: pod["memory"]["workingSetBytes"]
            for summary in summaries
            for pod in summary["pods"]
            if pod["podRef"]["namespace"] == self.namespace and "workingSetBytes" in pod.get("memory", {})
        }

    def get(self, kinds: str, *arguments: str) -> list[Object]:
        """The objects of some kinds."""
        found: list[Object] = json.loads(self.kubectl("get", kinds, "--output=json", *arguments))["items"]
        return found

    def pods(self, workload: str) -> list[Object]:
        """The pods of a workload that are not on their way out."""
        found = self.get("pods", f"--selector=app.kubernetes.io/name={workload}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def deployed(self) -> set[str]:
        """The names of the pods of all Deployments."""
        return {pod["metadata"]["name"] for name in DEPLOYMENTS for pod in self.pods(name)}

    def is_ready(self) -> bool:
        """Returns whether all pods of every workload are up to date and ready."""
        return all(_is_rolled_out(each) for each in self.get("deployments,statefulsets"))

    def has_policies(self) -> bool:
        """Returns whether the values enable Linkerd's policies."""
        enabled: bool = json.loads(self.helm("get", "values", "shop", "--all", "--output=json"))["linkerd"]["enabled"]
        return enabled

    def secret(self, workload: str, key: str) -> str:
        """A value of a workload's Secret."""
        encoded = self.kubectl("get", "secret", f"shop-{workload}", f"--output=jsonpath={{.data.{key}}}")
        return base64.b64decode(encoded).decode()


def _is_rolled_out(workload: Object) -> bool:
    wanted, status = workload["spec"]["replicas"], workload["status"]
    current = status.get("observedGeneration") == workload["metadata"]["generation"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return current and all(count == wanted for count in counts)


class Client:
    """A pod that is no part of the release, from which the edge's Service is called."""

    def __init__(self, release: Release) -> None:
        self._release = release
        release.kubectl("apply", "--filename=-", text=json.dumps(client_pod("client", IMAGE)))
        release.kubectl("wait", "pod/client", "--for=condition=Ready", f"--timeout={READY_S}s")

    def python(self, code: str, *arguments: str, text: str | None = None) -> str:
        """Runs a script in the pod and returns its output."""
        return self._release.kubectl("exec", "--stdin", "client", "--", "python", "-c", code, *arguments, text=text)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Object | None = None,
        form: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> Object:
        """The JSON that the edge answers with. Raises CommandFailed with the answer if that is an error."""
        request = {"method": method, "path": path, "token": token, "body": body, "form": form, "headers": headers or {}}
        answer: Object = json.loads(self.python(CALL, text=json.dumps(request)))
        return answer

    def token(self, user: str, password: str) -> str:
        """An access token for a user."""
        form = {"grant_type": "password", "username": user, "password": password}
        token: str = self.call("POST", "/v1/oauth2/token", form=form)["access_token"]
        return token

    def product(self, release: "Release") -> str:
        """The name of a product that staff has made, with more units in stock than the tests order."""
        token = self.token("staff@example.com", release.secret("identity", "STAFF_PASSWORD"))
        name: str = self.call("POST", "/v1/products", token=token, body=CUP)["name"]
        adjustment = {"delta": 1_000_000, "reason": "REASON_RECEIVED"}
        self.call("POST", f"/v1/{name}/stock:adjust", token=token, body={"adjustment": adjustment})
        return name

    def orders(self, token: str) -> int:
        """Returns the number of orders of a customer, over all pages of the list."""
        count, page = 0, ""
        while True:
            answer = self.call("GET", f"/v1/orders?page_size=1000&page_token={page}", token=token)
            count, page = count + len(answer.get("orders", ())), answer.get("nextPageToken", "")
            if not page:
                return count


CALL = """
import json, sys, urllib.error, urllib.parse, urllib.request

asked = json.load(sys.stdin)
headers = asked["headers"]
if asked["token"]:
    headers["authorization"] = "Bearer " + asked["token"]
data = urllib.parse.urlencode(asked["form"]).encode() if asked["form"] else None
if asked["body"] is not None:
    data, headers["content-type"] = json.dumps(asked["body"]).encode(), "application/json"
request = urllib.request.Request("http://shop-edge" + asked["path"], data, headers, method=asked["method"])
try:
    print(urllib.request.urlopen(request, timeout=30).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()}")
"""


def stream(release: Release) -> Object:
    """Returns NATS's information about the stream; `state` counts the events of each subject."""
    state: Object = json.loads(release.kubectl("exec", "deployment/shop-provisioner", "--", "python", "-c", STREAM))
    return state


STREAM = """
import asyncio, os, nats

async def main():
    broker = await nats.connect(os.environ["BROKER_URL"], inbox_prefix=b"_INBOX_provisioner", allow_reconnect=False)
    print((await broker.request("$JS.API.STREAM.INFO.MESHWRIGHT", b'{"subjects_filter": ">"}')).data.decode())
    await broker.close()

asyncio.run(main())
"""


def orders_published(release: Release, event: str = "OrderPlaced") -> int:
    """Returns the number of events of orders that have arrived in the log of all events, by default of OrderPlaced."""
    return int(query(release, "analytics", f"SELECT count(*) FROM audit_entries WHERE type = '{event}'"))


def query(release: Release, service: str, statement: str) -> str:
    """Returns the value that a statement gives in the database of a service."""
    shell = f"PGPASSWORD=$(cat /configuration/passwords/{service}) psql -h 127.0.0.1 -U {service} -At {service}"
    return release.kubectl("exec", "--stdin", "shop-postgres-0", "--", "sh", "-c", shell, text=statement)


def mails(release: Release) -> str:
    """The mails that were sent, as the mail server's page lists them to its own pod alone."""
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8025/messages').read().decode())"
    return release.kubectl("exec", "deployment/shop-mail", "--", "python", "-c", code)


@contextmanager
def load(release: Release, arguments: Sequence[str]) -> Iterator[Object]:
    """Calls the edge without a pause while this is entered. What became of the calls is in the dict that it gives,
    afterwards.
    """
    command = [
        "kubectl",
        "--namespace",
        release.namespace,
        "exec",
        "--stdin",
        "client",
        "--",
        "python",
        "-c",
        LOAD.read_text(),
        *arguments,
    ]
    outcome: Object = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as calling:
        yield outcome
        outcome |= json.loads(calling.communicate(timeout=READY_S)[0])
