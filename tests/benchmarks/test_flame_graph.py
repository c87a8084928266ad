"""Flame graphs."""

from xml.etree import ElementTree

from benchmarks.flame_graph import Graph, below, draw, parse

SAMPLES = """\
run (uvloop/__init__.py:1);Runner.run (asyncio/runners.py:9);serve (edge/app.py:3);unary (mesh/http2/call.py:7) 30
run (uvloop/__init__.py:1);Runner.run (asyncio/runners.py:9);serve (edge/app.py:3);App.log <quick> (edge/log.py:2) 60
poll (grpc/aio.py:4) 10
"""


def test_what_is_above_the_loop_is_cut_off() -> None:
    """Stacks begin below the event loop; those of other threads stay as they are."""
    assert below(parse(SAMPLES), "Runner.run ") == {
        ("serve (edge/app.py:3)", "unary (mesh/http2/call.py:7)"): 30,
        ("serve (edge/app.py:3)", "App.log <quick> (edge/log.py:2)"): 60,
        ("poll (grpc/aio.py:4)",): 10,
    }


def test_widths_are_in_one_scale() -> None:
    """The widest graph is the most expensive one; in each a box is as wide as its share, and names it."""
    stacks = below(parse(SAMPLES), "Runner.run ")
    root = ElementTree.fromstring(draw([Graph("before", stacks, 400), Graph("after", stacks, 100)]))
    boxes = [(group[0].text, float(group[1].get("width", 0))) for group in root.iter("{http://www.w3.org/2000/svg}g")]
    assert boxes == [
        ("poll (grpc/aio.py:4): 10.0%", 119.5),
        ("serve (edge/app.py:3): 90.0%", 1079.5),
        ("App.log <quick> (edge/log.py:2): 60.0%", 719.5),
        ("unary (mesh/http2/call.py:7): 30.0%", 359.5),
        ("poll (grpc/aio.py:4): 10.0%", 29.5),
        ("serve (edge/app.py:3): 90.0%", 269.5),
        ("App.log <quick> (edge/log.py:2): 60.0%", 179.5),
        ("unary (mesh/http2/call.py:7): 30.0%", 89.5),
    ]
