"""The schemas of the segments of a path variable, where each segment is a parameter of its own."""

from collections.abc import Sequence

from edge.openapi.json_schema import Schema


def schema_of_segment(schema: Schema, segments: Sequence[str], literal: Sequence[bool], index: int) -> Schema:
    """Returns the schema of one segment, from the schema of the whole text: its part of the pattern, if the pattern has
    one for each segment, and the length that the other segments leave.
    """
    made: Schema = {"type": "string", "minLength": 1}
    if (length_max := schema.get("maxLength")) is not None:
        others = sum(len(text) if is_literal else 1 for text, is_literal in zip(segments, literal, strict=True))
        made["maxLength"] = max(1, length_max - (others - 1) - (len(segments) - 1))
    patterns = _split(schema.get("pattern", ""))
    fits = len(patterns) == len(segments) and all(
        _unescaped(pattern) == text
        for pattern, text, is_literal in zip(patterns, segments, literal, strict=True)
        if is_literal
    )
    if fits and patterns[index] not in ("[^/]+", ".+"):
        made["pattern"] = f"^{patterns[index]}$"
    return made


def sentences_of(schema: Schema) -> list[str]:
    """Returns sentences that state the schema of the whole text."""
    words = [
        f"match `{schema['pattern']}`" if "pattern" in schema else "",
        f"be at least {schema['minLength']} characters" if schema.get("minLength", 1) > 1 else "",
        f"be at most {schema['maxLength']} characters" if "maxLength" in schema else "",
        f"be one of {', '.join(f'`{each}`' for each in schema['enum'])}" if "enum" in schema else "",
        f"be `{schema['const']}`" if "const" in schema else "",
        f"have the format `{schema['format']}`" if "format" in schema else "",
    ]
    demands = " and ".join(filter(None, words))
    return [f"The whole value must {demands}."] if demands else []


def _split(pattern: str) -> list[str]:
    """Splits a pattern at its slashes into one for each segment. Returns none if it can't be split."""
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")):
        return []
    parts, at, depth, in_class = [""], 1, 0, False
    while at < len(pattern) - 1:
        piece = pattern[at : at + 2] if pattern[at] == "\\" else pattern[at]
        at += len(piece)
        if in_class:
            in_class = piece != "]"
        elif piece == "[":
            in_class = True
            if pattern[at : at + 1] == "^":
                piece, at = "[^", at + 1
        elif piece in "()":
            depth += 1 if piece == "(" else -1
        elif piece in ("/", "\\/"):
            if depth:
                return []
            parts.append("")
            continue
        elif depth == 0 and piece == "|":
            return []
        parts[-1] += piece
    return parts


def _unescaped(pattern: str) -> str:
    return pattern.replace("\\", "")
