"""Regular expressions of RE2 in the syntax of ECMA-262."""

import re

import pytest

from edge.openapi.validation_rules.ecma_pattern import ecma_pattern


@pytest.mark.parametrize(
    ("pattern", "translated"),
    [
        (r"^/v1/[^/]+\.(x|y){1,3}\d+\\$", r"^/v1/[^/]+\.(x|y){1,3}\d+\\$"),
        (r"^[\w\.\-]+\@[a-z]+$", r"^[\w\.\-]+@[a-z]+$"),
        (r"^a\-b\_c\ d\#$", r"^a-b_c d#$"),
        (r"^[\&a\-z]+$", r"^[&a\-z]+$"),
        (r"^[\w-.]+[-a]$", r"^[\w\-.]+[-a]$"),
        (r"^[^[:cntrl:]]*[[:alpha:]_]$", r"^[^\x00-\x1f\x7f]*[A-Za-z_]$"),
        (r"^{id}$", r"^\{id\}$"),
        (r"^a{,3}b{2,}$", r"^a\{,3\}b{2,}$"),
        (r"^[]a][^]a][[a]]$", r"^[\]a][^\]a][\[a]\]$"),
    ],
)
def test_a_pattern_compiles_with_the_flag_u(pattern: str, translated: str) -> None:
    """Characters without a special meaning lose their backslash, and brackets that stand for themselves get one."""
    assert ecma_pattern(pattern) == translated
    re.compile(translated)


@pytest.mark.parametrize(
    "pattern", ["(?i)a", "(?P<n>a)", "[[:^alpha:]]", "[:alpha:]", r"\pL", r"\Aa\z", r"\x{41}", r"\101"]
)
def test_what_ecma_262_does_not_have_has_no_pattern(pattern: str) -> None:
    """No pattern says the same: without the flag u, that of the letter A is 41 times the letter x."""
    assert ecma_pattern(pattern) is None
