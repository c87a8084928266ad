"""The chart by Helm 3, the older major version: it lints, renders and refuses as Helm 4 does.

Run by `make helm3-test`, because building a second Helm takes longer than all other tests of the chart.
"""

import re

import pytest

from tests.chart.render import KUBERNETES, PROFILES, helm, rendered, template
from tests.chart.test_values import REFUSED

each_profile = pytest.mark.parametrize("profile", PROFILES)


@each_profile
def test_lint_is_clean(profile: str) -> None:
    """Helm 3 finds nothing, warnings included."""
    done = helm("lint", ".", "--strict", "--kube-version", KUBERNETES[-1], *PROFILES[profile], program="helm3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr


@each_profile
def test_both_helms_render_the_same(profile: str) -> None:
    """Helm 3 and Helm 4 give the same objects."""
    assert sorted(map(repr, rendered(profile, "helm3"))) == sorted(map(repr, rendered(profile)))


@pytest.mark.parametrize(("value", "expected"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_value_is_refused_where_it_stands(value: str, expected: str) -> None:
    """As by Helm 4, an invalid value is reported with its path and the reason, a missing one with how to set it."""
    done = template("--set", value, program="helm3")
    assert done.returncode != 0
    assert re.search(expected, done.stderr), done.stderr
