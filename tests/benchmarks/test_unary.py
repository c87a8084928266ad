"""The figures, the contract, and the plot of the comparison of unary calls."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from benchmarks.constant import Constant
from benchmarks.go_peers import SOURCE, versions
from benchmarks.http_load import Answer
from benchmarks.ratio_plot import LABELS_WIDTH, plot
from benchmarks.rounds import Spread
from benchmarks.unary import AGAIN, LABELS, NEAR_SATURATION, Plan, elapsed_s, keep, ratios, report
from benchmarks.unary_contract import compile_image, encode, without_policies
from benchmarks.unary_sides import BARE, ENVOY, Issuer, bodies
from benchmarks.unary_work import MISSING, Work, works
from edge.contract.contract import load

ROUNDS = {
    ENVOY: [{"get CPU": 60.0}, {"get CPU": 120.0}, {"get CPU": 60.0}],
    BARE: [{"get CPU": 30.0}, {"get CPU": 90.0}, {"get CPU": 60.0}],
    AGAIN: [{"get CPU": 66.0}, {"get CPU": 120.0}, {"get CPU": 54.0}],
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the descriptor image of the measured contract."""
    return compile_image(tmp_path_factory.mktemp("unary"))


def test_ratios_are_to_envoy_in_the_same_round() -> None:
    """Envoy itself has none, and a slow round does not count as a slow edge."""
    assert ratios(ROUNDS, "get CPU") == {BARE: Spread(0.75, 0.5, 1.0), AGAIN: Spread(1.0, 0.9, 1.1)}


def test_the_report_has_every_figure_of_every_side() -> None:
    """Each block has a line for each side, with the ratio to Envoy beside all but Envoy's."""
    kinds = works()
    figures = {f"{work.name} CPU": 50.0 for work in kinds} | {
        "p50": 1.0,
        "p99": 2.0,
        "p99.9": 3.0,
        NEAR_SATURATION: 4.0,
    }
    lines = list(report({label: [figures] for label in LABELS}, {ENVOY: 70.4}, kinds))
    blocks = len(kinds) + 4
    assert len([line for line in lines if line.startswith("\n")]) == blocks + 1
    assert lines[-1].split() == ["Envoy", "70"]
    assert len([line for line in lines if "1.00 (1.00 to 1.00) of Envoy" in line]) == blocks * (len(LABELS) - 1)


def test_a_plan_has_at_least_a_call_for_each_connection() -> None:
    """A small share of few calls is not none."""
    plan = Plan(rounds=1, share=0.01, connections=16, rate=1, latency_s=1, saturation=0.7)
    by_name = {work.name: plan.calls(work) for work in works()}
    assert {name: by_name[name] for name in ("get", "create", "list", "lines", "blob")} == {
        "get": 60,
        "create": 40,
        "list": 16,
        "lines": 16,
        "blob": 16,
    }
    small = replace(plan, share=0.001)
    assert [small.calls(work) for work in works()[:3]] == [16, 8, 32]


def test_one_call_in_twenty_is_for_a_missing_order() -> None:
    """The errors are spread over the load, and their statuses are expected."""
    (errors,) = (work for work in works() if work.missing_every)
    missing = [number for number, text in enumerate(errors.requests({}, 60)) if f"/{MISSING} " in text]
    assert missing == [0, 20, 40]
    assert errors.statuses(60) == {200: 57, 404: 3}
    assert works()[0].statuses(60) == {200: 60}


def test_the_elapsed_time_ends_with_the_last_answer() -> None:
    """An early request may be answered last."""
    assert elapsed_s([Answer(200, "", 10.0, 5.0), Answer(200, "", 12.0, 1.0)]) == 5.0


def test_figures_are_kept_rounded(tmp_path: Path) -> None:
    """The document has all of them, with three decimals."""
    keep({"plan": {"rounds": 1}, "rounds": {ENVOY: [{"p50": 1.23456}]}}, tmp_path / "unary.json")
    assert json.loads((tmp_path / "unary.json").read_text()) == {
        "plan": {"rounds": 1},
        "rounds": {ENVOY: [{"p50": 1.235}]},
    }


def test_the_kinds_of_work_have_the_sizes_that_they_claim(image: Path) -> None:
    """Orders of 800 bytes, 40 kB of them, and two answers of about 1 MB."""
    of_path = {work.name: len(next(iter(bodies((work,)).values()))) for work in works()}
    assert of_path["get"] == pytest.approx(800, rel=0.05)
    assert of_path["list"] == pytest.approx(40_000, rel=0.05)
    assert of_path["lines"] == pytest.approx(1_000_000, rel=0.05)
    assert len(encode(image.read_bytes(), "GetBlob", works()[-1].answer)) == pytest.approx(1_000_000, rel=0.001)


def test_everything_on_has_policies_and_rules(image: Path, tmp_path: Path) -> None:
    """The whole contract has a scope and a rate limit on each method; the plain one keeps only the rules of HTTP."""
    plain = tmp_path / "plain.binpb"
    plain.write_bytes(without_policies(image.read_bytes()))
    assert [route.template for route in load(plain).routes] == [route.template for route in load(image).routes]
    content = plain.read_bytes()
    assert b"bench.read" in image.read_bytes()
    assert b"bench.read" not in content
    assert b"validate" not in content
    assert b"^[A-Z]{3}$" not in content


def test_the_contract_is_understood_as_everything_on(image: Path) -> None:
    """Its methods are all routed."""
    assert {route.method.desc.name for route in load(image).routes} == {work.method for work in works()}


def test_versions_of_the_go_peers() -> None:
    """They are read from the committed go.mod."""
    required = "\tgoogle.golang.org/grpc v1.2.3\n\tgithub.com/grpc-ecosystem/grpc-gateway/v2 v2.1.0\n"
    assert versions(f"require (\n{required})") == {"grpc-gateway": "2.1.0", "grpc-go": "1.2.3"}
    assert versions((SOURCE / "go.mod").read_text())


def test_the_token_has_every_scope_of_the_contract(image: Path) -> None:
    """The issuer's keys verify it."""
    issuer = Issuer()
    claims = jwt.decode(issuer.token(), KeySet.import_key_set(json.loads(issuer.keys()))).claims
    assert claims["scope"].split() == ["bench.read", "bench.write"]


def test_the_floor_answers_with_constant_bytes() -> None:
    """It reads the whole request first."""
    received = iter([{"body": b"a", "more_body": True}, {"body": b"b"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Constant({"PUT /a": "{}"})({"method": "PUT", "path": "/a"}, receive, send))
    assert list(received) == []
    assert sent[0]["status"] == 200
    assert (b"content-length", b"2") in sent[0]["headers"]
    assert sent[1]["body"] == b"{}"


def test_the_floor_has_no_other_answers() -> None:
    """Anything else is 404."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Constant({"GET /a": "{}"})({"method": "GET", "path": "/b"}, receive, send))
    assert sent[0]["status"] == 404


def test_a_request_of_a_work_has_its_body_and_headers() -> None:
    """Headers of the side are added to those of all."""
    work = Work("w", "", "M", "POST", "/v1", {}, 1, {"a": 1})
    (text,) = work.requests({"authorization": "Bearer t"}, 1)
    head, _, body = text.partition("\r\n\r\n")
    assert head.startswith("POST /v1 HTTP/1.1\r\n")
    assert "authorization: Bearer t" in head
    assert json.loads(body) == {"a": 1}


def test_a_plot_is_xml_with_bars_to_scale() -> None:
    """The width of a bar is that of the peer's line times its median; names are escaped."""
    root = ElementTree.fromstring(plot("A < B", {"get & set": {"ours": Spread(0.5, 0.4, 2.0)}}, "2026-01-02; load 1"))
    (bar,) = root.iter(f"{SVG}rect")
    axis = next(line for line in root.iter(f"{SVG}line") if line.get("class") == "axis")
    one = float(axis.get("x1", "0")) - LABELS_WIDTH
    assert float(bar.get("width", "0")) == pytest.approx(one / 2, abs=0.1)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:2] == ["A < B", "get & set"]
    assert texts[-2:] == ["2026-01-02", "load 1"]


def test_a_plot_has_colours_for_dark_pages() -> None:
    """Text is light there."""
    assert "prefers-color-scheme: dark" in plot("t", {"g": {"a": Spread(1.0, 1.0, 1.0)}}, "c")
