"""Renders of the chart, and their committed copies.

    python tests/chart/render.py

writes tests/chart/golden/ anew.
"""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "meshwright"
GOLDEN = Path(__file__).parent / "golden"
KUBERNETES = ("1.31.0", "1.32.0", "1.33.0", "1.34.0", "1.35.0")
LINKERD = ("policy.linkerd.io/v1beta3/Server", "gateway.networking.k8s.io/v1/GRPCRoute")
MONITORING = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule")

PROFILES: dict[str, tuple[str, ...]] = {
    "default": (),
    "trial": ("--values", "values-trial.yaml"),
    "production": ("--values", "values-production.yaml"),
    "rabbitmq": ("--values", "values-trial.yaml", "--set=nats.enabled=false,rabbitmq.enabled=true"),
    "alone": (  # one service of a mesh that other releases bring, without Linkerd
        "--set=prefix=shop,linkerd.enabled=false,edge.enabled=false,mail.enabled=false",
        "--set=services.identity.enabled=false,services.catalog.enabled=false",
        "--set=services.notifications.enabled=false,services.information.enabled=false",
    ),
}  # fmt: skip

Object = dict[str, Any]


class RenderFailed(AssertionError):
    """A failure of Helm to render a profile. The text is Helm's message."""


def helm(*arguments: str, program: str = "helm") -> "subprocess.CompletedProcess[str]":
    """Runs Helm in the chart's folder; `helm3` is the older major version."""
    command = [str(ROOT / ".tools" / "bin" / program), *arguments]
    return subprocess.run(command, cwd=CHART, capture_output=True, text=True, check=False)


@cache
def template(
    *arguments: str, program: str = "helm", chart: Path = CHART, release: str = "shop"
) -> "subprocess.CompletedProcess[str]":
    """Renders a release in the namespace "shop", for a cluster that has Linkerd. The same arguments render once."""
    known = [part for api in LINKERD for part in ("--api-versions", api)]
    target = (release, str(chart), "--namespace", "shop", "--kube-version", KUBERNETES[-2])
    return helm("template", *target, *known, *arguments, program=program)


@cache
def rendered(profile: str, program: str = "helm") -> tuple[Object, ...]:
    """The objects of a profile. They are shared: copy them before you change them."""
    known = [part for api in MONITORING for part in ("--api-versions", api)]
    done = template(*PROFILES[profile], *known, program=program)
    if done.returncode != 0:
        said = done.stderr.replace("Use --debug flag to render out invalid YAML", "").strip()
        raise RenderFailed(f"{said}\nHelm could not render the profile {profile}, for the reason above.")
    return objects(done.stdout)


def objects(text: str) -> tuple[Object, ...]:
    """The objects of a render, with random values replaced."""
    return tuple(map(_without_secrets, objects_as_they_are(text)))


def objects_as_they_are(text: str) -> Iterator[Object]:
    """The objects of a render. PyYAML's parser in Python would take longer than Helm."""
    return filter(None, yaml.load_all(text, Loader=yaml.CSafeLoader))


def _without_secrets(each: Object) -> Object:
    if each["kind"] == "Secret":
        shown = {key: re.sub(r"\b[A-Za-z0-9]{32}\b", "<random>", value) for key, value in _decoded(each).items()}
        each["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in shown.items()}
    return each


def _decoded(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def golden_text(profile: str) -> str:
    """Returns the golden file of a profile: its objects in Helm's order, with the dummy secrets in clear text."""
    shown = [{**each, "data": _decoded(each)} if each["kind"] == "Secret" else each for each in rendered(profile)]
    return yaml.safe_dump_all(shown, sort_keys=False, default_flow_style=None, width=160)


def main() -> None:
    """Writes every profile's copy, or none and exits with Helm's sentence if one can't be rendered."""
    try:
        texts = {profile: golden_text(profile) for profile in PROFILES}
    except RenderFailed as error:
        sys.exit(str(error))
    GOLDEN.mkdir(exist_ok=True)
    for profile, text in texts.items():
        (GOLDEN / f"{profile}.yaml").write_text(text)


if __name__ == "__main__":
    main()
