"""Regular expressions for the decimal numbers in a range: the only way to bound a number that is a string."""

from functools import lru_cache
from typing import Final

from edge.openapi.json_schema import Schema, add_for_validators

PATTERN_LENGTH_MAX: Final = 100


def add_range_pattern(schema: Schema, least: int, greatest: int) -> Schema:
    """Limits the digits of an integer in a string to a range. A pattern that fills lines is for validators only,
    because generators copy it to every use of the schema.
    """
    pattern = range_pattern(least, greatest)
    if len(pattern) <= PATTERN_LENGTH_MAX:
        schema["pattern"] = pattern
    else:
        add_for_validators(schema, {"pattern": pattern})
    return schema


@lru_cache
def range_pattern(least: int, greatest: int) -> str:
    """Returns the pattern of the integers from `least` to `greatest`, both included, without leading zeros."""
    choices = []
    if least < 0:
        choices.append(f"-{_group(natural_patterns(max(1, -greatest), -least))}")
    if greatest >= 0:
        choices += natural_patterns(max(0, least), greatest)
    return f"^{_group(choices)}$"


def _group(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"({'|'.join(choices)})"


def natural_patterns(least: int, greatest: int) -> list[str]:
    """Returns patterns of the non-negative numbers in a range, by their length. All lengths whose numbers are all in
    the range share one pattern.
    """
    choices: list[str] = []
    whole: list[int] = []
    for length in range(len(str(least)), len(str(greatest)) + 1):
        first, last = (10 ** (length - 1) if length > 1 else 0), 10**length - 1
        if length > 1 and least <= first and last <= greatest:
            whole.append(length)
        else:
            choices += _of_length(str(max(least, first)), str(min(greatest, last)))
    if whole:
        choices.append(f"[1-9][0-9]{{{whole[0] - 1},{whole[-1] - 1}}}")
    return choices


def _of_length(low: str, high: str) -> list[str]:
    """Returns patterns of the numbers from `low` to `high`, which have the same number of digits."""
    rest = len(low) - 1
    if not low or low == high:
        return [low]
    if low[0] == high[0]:
        return [low[0] + each for each in _of_length(low[1:], high[1:])]
    choices: list[str] = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        choices += [low[0] + each for each in _of_length(low[1:], "9" * rest)]
        first += 1
    if high[1:] != "9" * rest:
        last -= 1
    if first <= last:
        choices.append(_digits(first, last) + (f"[0-9]{{{rest}}}" if rest else ""))
    if high[1:] != "9" * rest:
        choices += [high[0] + each for each in _of_length("0" * rest, high[1:])]
    return choices


def _digits(first: int, last: int) -> str:
    return str(first) if first == last else f"[{first}-{last}]"
