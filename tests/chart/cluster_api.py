"""The part of the API of a cluster that Helm asks while it renders: which kinds and which Secrets there are."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.chart.render import CHART, Object, helm, objects_as_they_are

NAMESPACE = "shop"
KINDS = {
    "api/v1": ("Secret", "ServiceAccount", "Service", "ConfigMap", "Pod"),
    "apis/apps/v1": ("Deployment", "StatefulSet"),
    "apis/policy/v1": ("PodDisruptionBudget",),
    "apis/networking.k8s.io/v1": ("NetworkPolicy",),
}


class ClusterApi:
    """A cluster that keeps the Secrets of the releases that are installed, and nothing else."""

    def __init__(self, url: str, secrets: dict[str, Object]) -> None:
        self._url = url
        self.secrets = secrets

    def install(self, release: str, *values: str) -> None:
        """Installs a release without Linkerd, or upgrades it."""
        target = (release, str(CHART), f"--namespace={NAMESPACE}", f"--kube-apiserver={self._url}")
        options = ("--dry-run=server", "--disable-openapi-validation", "--set=linkerd.enabled=false")
        done = helm("template", *target, *options, *values)
        assert done.returncode == 0, done.stderr
        owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": NAMESPACE}
        for each in objects_as_they_are(done.stdout):
            if each["kind"] == "Secret":
                each["metadata"].setdefault("annotations", {}).update(owner)
                self.secrets[each["metadata"]["name"]] = each

    def values(self, name: str) -> dict[str, str]:
        """Returns the values of a Secret."""
        return {key: base64.b64decode(value).decode() for key, value in self.secrets[name]["data"].items()}


@contextmanager
def cluster_api() -> Iterator[ClusterApi]:
    """Serves the API of an empty cluster."""
    secrets: dict[str, Object] = {}
    pages = {f"/{path}": _resources(path, kinds) for path, kinds in KINDS.items()}
    pages["/version"] = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    pages["/api"] = {"kind": "APIVersions", "versions": ["v1"]}
    groups = [_group(path) for path in KINDS if path.startswith("apis/")]
    pages["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, name = self.path.partition("?")[0].partition(f"/namespaces/{NAMESPACE}/secrets/")
            page = secrets.get(name) if name else pages.get(path)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(missing if page is None else page).encode()
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ClusterApi(f"http://127.0.0.1:{server.server_port}", secrets)
        server.shutdown()


def _resources(path: str, kinds: tuple[str, ...]) -> Object:
    version = path.partition("/")[2]
    resources = [
        {"name": f"{kind.lower()}s", "kind": kind, "namespaced": True, "singularName": "", "verbs": ["get", "list"]}
        for kind in kinds
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _group(path: str) -> Object:
    _, name, version = path.split("/")
    preferred = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [preferred], "preferredVersion": preferred}
