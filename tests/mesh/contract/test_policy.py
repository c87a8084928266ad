"""The numbers in the policies of methods."""

import pytest
from meshwright.policy.v1.policy_pb import Cache, MethodPolicy, RateLimit, ext_method
from protobuf.wkt import Duration
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from mesh.contract.policy import Policy, policy_of_options

PERIOD = "it must be more than 0 and at most 315576000000"
AGE = "it must be a whole number from 0 to 315576000000"
STATUS = "the status of a success is from 200 to 299"


def policy(option: MethodPolicy) -> Policy:
    """Returns the policy of a method with this option, as it is read from a descriptor image."""
    options = MethodOptions()
    options[ext_method] = option
    return policy_of_options(MethodOptions.from_binary(options.to_binary()))


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (MethodPolicy(timeout=Duration(seconds=-2)), f"has a timeout of -2 s: {PERIOD}"),
        (MethodPolicy(timeout=Duration()), f"has a timeout of 0 s: {PERIOD}"),
        (MethodPolicy(timeout=Duration(seconds=315_576_000_001)), f"has a timeout of 315576000001 s: {PERIOD}"),
        (MethodPolicy(rate_limit=RateLimit()), "has a rate_limit of 0 requests: there must be at least 1"),
        (MethodPolicy(rate_limit=RateLimit(requests=-1)), "has a rate_limit of -1 requests: there must be at least 1"),
        (MethodPolicy(rate_limit=RateLimit(requests=1, per=Duration())), f"has a rate_limit per 0 s: {PERIOD}"),
        (
            MethodPolicy(rate_limit=RateLimit(requests=1, per=Duration(seconds=-5))),
            f"has a rate_limit per -5 s: {PERIOD}",
        ),
        (MethodPolicy(cache=Cache(max_age=Duration(seconds=-5))), f"has a cache.max_age of -5 s: {AGE}"),
        (MethodPolicy(cache=Cache(max_age=Duration(nanos=500_000_000))), f"has a cache.max_age of 0.5 s: {AGE}"),
        (MethodPolicy(http_status=99), f"has http_status 99: {STATUS}"),
        (MethodPolicy(http_status=404), f"has http_status 404: {STATUS}"),
        (MethodPolicy(http_status=1201), f"has http_status 1201: {STATUS}"),
        (MethodPolicy(http_status=-1), f"has http_status -1: {STATUS}"),
    ],
)
def test_a_number_out_of_its_range_is_a_contradiction(option: MethodPolicy, why: str) -> None:
    """Each number is named with its range."""
    assert policy(option).contradiction == why


@pytest.mark.parametrize(
    "option",
    [
        MethodPolicy(),
        MethodPolicy(timeout=Duration(nanos=1)),
        MethodPolicy(rate_limit=RateLimit(requests=1)),
        MethodPolicy(rate_limit=RateLimit(requests=1, per=Duration(nanos=1))),
        MethodPolicy(cache=Cache()),
        MethodPolicy(cache=Cache(max_age=Duration(seconds=31_536_000))),
        MethodPolicy(http_status=299),
    ],
)
def test_the_least_and_the_absent_are_right(option: MethodPolicy) -> None:
    """Numbers at the ends of their ranges and absent ones are no contradiction."""
    assert policy(option).contradiction == ""
