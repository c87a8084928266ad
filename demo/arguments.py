"""The arguments of the demo's commands: numbers within limits."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def between(kind: type[Number], least: Number, most: Number) -> Callable[[str], Number]:
    """Returns the type of an argument that is a number from `least` to `most`."""

    def read(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}, and is {text!r}")
        return number

    return read
