"""The chart renders everywhere to the committed files."""

from pathlib import Path

import pytest

from tests.chart import render
from tests.chart.render import CHART, GOLDEN, KUBERNETES, PROFILES, golden_text, helm, objects, rendered, template

each_profile = pytest.mark.parametrize("profile", PROFILES)


@each_profile
def test_lint_is_clean(profile: str) -> None:
    """Helm finds nothing, warnings included."""
    done = helm("lint", ".", "--strict", "--kube-version", KUBERNETES[-1], *PROFILES[profile])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr


@each_profile
def test_a_render_is_the_committed_one(profile: str) -> None:
    """The golden files are up to date, so the diff of a chart change shows its effect on the cluster."""
    assert golden_text(profile) == (GOLDEN / f"{profile}.yaml").read_text(), "run `make golden` and read the diff"


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_supported_kubernetes_gets_the_same(version: str) -> None:
    """The objects are the same for every supported version of Kubernetes."""
    assert objects(template("--kube-version", version).stdout) == rendered("default")


def test_an_older_kubernetes_is_refused() -> None:
    """An older cluster is rejected with the versions that the chart supports."""
    done = template("--kube-version", "1.30.0")
    assert done.returncode != 0
    assert ">=1.31.0-0" in done.stderr


def test_nothing_of_linkerd_is_left_without_it() -> None:
    """With Linkerd disabled, no object, annotation or port of it remains."""
    text = (GOLDEN / "alone.yaml").read_text()
    assert "linkerd.io/inject" not in text
    assert "policy.linkerd.io" not in text
    assert "4143" not in text


def test_the_notes_show_the_next_commands() -> None:
    """The notes show the commands that test the release, reach it, and sign in."""
    done = helm("install", "shop", ".", "--dry-run=client", "--namespace=store", "--set=linkerd.enabled=false")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "helm test shop -n store" in notes
    assert "kubectl -n store port-forward service/shop-edge 8080:80" in notes
    assert "kubectl -n store get secret shop-identity -o jsonpath='{.data.STAFF_PASSWORD}' | base64 -d" in notes
    assert "Linkerd is disabled" in notes


def test_partials_are_short() -> None:
    """A partial emits one thing."""
    lengths = sorted(len(path.read_text().splitlines()) for path in CHART.rglob("_*.tpl"))
    assert lengths[len(lengths) // 2] < 40


def test_two_releases_make_up_one_mesh() -> None:
    """Releases with one prefix bring different workloads, under the names by which these know each other."""
    alone = {(each["kind"], each["metadata"]["name"]) for each in rendered("alone")}
    whole = {(each["kind"], each["metadata"]["name"]) for each in rendered("default")}
    assert ("Deployment", "shop-orders") in alone
    assert alone <= whole
    assert not {("Deployment", "shop-catalog"), ("Secret", "shop-identity")} & alone


def test_a_failed_render_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make golden` prints Helm's error and the name of the profile, and leaves the committed files unchanged."""
    monkeypatch.setattr(render, "GOLDEN", tmp_path)
    monkeypatch.setitem(PROFILES, "broken", ("--set=nosuch=1",))
    with pytest.raises(
        SystemExit, match=r"nosuch(.|\n)*Helm could not render the profile broken, for the reason above"
    ):
        render.main()
    assert list(tmp_path.iterdir()) == []
