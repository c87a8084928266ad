"""The time to parse and serialise one order in three Python runtimes, and the differences of their ProtoJSON.

Run it as `make bench-messages`. Compare the ratios to protobuf-py, which are measured in the same rounds.
"""

import importlib
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import meshwright_client.meshwright.orders.v1 as betterproto_orders
from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.orders_pb import Order, OrderLine
from protobuf.wkt import Timestamp

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
CALLS = 2000


def main() -> None:
    """Prints the table."""
    data = order().to_binary()
    with tempfile.TemporaryDirectory() as folder:
        upb = standard_classes(folder).Order
    runtimes: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "protobuf-py": actions(Order.from_binary, lambda message: message.to_binary(), data),
        "google upb": actions(upb.FromString, lambda message: message.SerializeToString(), data),
        "betterproto2": actions(betterproto_orders.Order.parse, bytes, data),
    }
    print(f"one order, {len(data)} bytes; median of {ROUNDS} rounds of {CALLS} calls, µs a call (least to most)")
    for title, index in (("parse", 0), ("serialise", 1)):
        figures: dict[str, list[float]] = {name: [] for name in runtimes}
        for _ in range(ROUNDS):
            for name, pair in runtimes.items():
                figures[name].append(timeit.timeit(pair[index], number=CALLS) / CALLS * 1e6)
        base = figures["protobuf-py"]
        for name, values in figures.items():
            ratio = statistics.median(value / other for value, other in zip(values, base, strict=True))
            spread = f"{min(values):.1f} to {max(values):.1f}"
            print(
                f"{title:10} {name:13} {statistics.median(values):7.1f} ({spread:>14})  {ratio:6.2f} times protobuf-py"
            )


def actions(parse: Callable[[bytes], Any], write: Callable[[Any], bytes], data: bytes) -> tuple[Any, Any]:
    """Returns the two functions to time, after a check that they are inverse to each other."""
    message = parse(data)
    assert parse(write(message)) == message
    return lambda: parse(data), lambda: write(message)


def order() -> Order:
    """Returns an order with two lines."""
    when = Timestamp(seconds=1_760_000_000, nanos=123_456_000)
    line = OrderLine(
        product="products/6f1c7b1e-6a35-4b43-9d53-0f0a54f3d7ba",
        quantity=3,
        title="Folding saw",
        unit_price=Money(currency_code="EUR", units=24, nanos=900_000_000),
        amount=Money(currency_code="EUR", units=74, nanos=700_000_000),
    )
    return Order(
        name="orders/0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
        uid="0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
        customer="users/5e4d3c2b-1a09-4f8e-9d7c-6b5a43210fed",
        lines=[line, line],
        total=Money(currency_code="EUR", units=149, nanos=400_000_000),
        state=Order.State.PENDING,
        create_time=when,
        update_time=when,
        etag="1",
    )


def standard_classes(folder: str) -> Any:
    """Compiles the orders contract with grpcio-tools into a folder and returns its `_pb2` module."""
    files = [path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto")]
    includes = [f"-I{ROOT / 'proto'}", f"-I{ROOT / 'third_party'}", "buf/validate/validate.proto"]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", *includes, f"--python_out={folder}", *files]
    subprocess.run(compiler, check=True)
    # Two folders on the path contain generated packages of the same name; the second is added to the first.
    for name in (
        "meshwright",
        "meshwright.orders",
        "meshwright.orders.v1",
        "meshwright.policy",
        "meshwright.policy.v1",
    ):
        package = importlib.import_module(name)
        package.__path__.append(f"{folder}/{name.replace('.', '/')}")
    sys.path.append(folder)
    return importlib.import_module("meshwright.orders.v1.orders_pb2")


if __name__ == "__main__":
    main()
