"""The policy of a method: its option (meshwright.policy.v1.method), read from the descriptor."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from googleapis.google.api.annotations_pb import ext_http
from meshwright.policy.v1.policy_pb import ErrorFormat, MethodPolicy, ext_method
from protobuf import DescMethod
from protobuf.wkt import Duration
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

ANY_WORKLOAD = "*"
EDGE = "edge"
DEFAULT_TIMEOUT_S = 10.0  # of a unary method without the option `timeout`

_DURATION_S_MAX = 315_576_000_000  # google/protobuf/duration.proto
_PERIOD = f"it must be more than 0 and at most {_DURATION_S_MAX}"
_IDEMPOTENT = frozenset({MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT})


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of `requests` calls in any `per_s` seconds."""

    requests: int
    per_s: float
    counts_rejected: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one method. The defaults are those of a method without the option: a valid token, no scope.

    `internal` methods have no google.api.http rule: only the workloads in `callers` may call them. `cache_s` is the
    max-age of the response in seconds; 0 forbids storing it, and None leaves the header out.
    """

    public: bool = False
    scopes: frozenset[str] = frozenset()
    timeout_s: float | None = None
    rate_limit: RateLimit | None = None
    cache_s: float | None = None
    callers: frozenset[str] = frozenset()
    http_status: int = 200
    internal: bool = False
    ignore_unknown_fields: bool = False
    long_poll: bool = False
    invalid_reason: str = ""
    error_format: ErrorFormat = ErrorFormat.UNSPECIFIED
    degraded_field: str = ""
    audited: bool = False

    def admits_workload(self, workload: str) -> bool:
        """Returns whether the contract allows this workload to call as itself."""
        return workload in self.callers or ANY_WORKLOAD in self.callers

    @property
    def connecting(self) -> frozenset[str]:
        """Returns the workloads whose connections may make this call, with any token: those that the contract names,
        and the edge if there is a route. The policies of the service mesh, the services and the check of the code use
        this.
        """
        return self.callers if self.internal else self.callers | {EDGE}

    def admits_connection(self, workload: str) -> bool:
        """Returns whether a call may come from this workload, with any token."""
        return not self.connecting.isdisjoint({workload, ANY_WORKLOAD})

    @property
    def contradiction(self) -> str:
        """Returns the contradiction in the policy, to complete the name of the method; empty if there is none."""
        if self.public and self.scopes:
            return "is public and requires scopes: a method that needs no token can't require scopes of one"
        if self.degraded_field and self.cache_s:
            return "has both degraded_field and cache: a degraded response would be kept after the failure"
        return next(self._wrong_numbers(), "")

    def _wrong_numbers(self) -> Iterator[str]:
        """Yields the numbers that are out of their ranges."""
        if self.timeout_s is not None and not _is_period(self.timeout_s):
            yield f"has a timeout of {self.timeout_s:.15g} s: {_PERIOD}"
        if self.rate_limit is not None and self.rate_limit.requests < 1:
            yield f"has a rate_limit of {self.rate_limit.requests} requests: there must be at least 1"
        if self.rate_limit is not None and not _is_period(self.rate_limit.per_s):
            yield f"has a rate_limit per {self.rate_limit.per_s:.15g} s: {_PERIOD}"
        # max-age is a whole number (RFC 9111, section 1.2.2). A fraction would become 0, which forbids caching.
        if self.cache_s is not None and (self.cache_s % 1 or not 0 <= self.cache_s <= _DURATION_S_MAX):
            yield f"has a cache.max_age of {self.cache_s:.15g} s: it must be a whole number from 0 to {_DURATION_S_MAX}"
        if not 200 <= self.http_status <= 299:
            yield f"has http_status {self.http_status}: the status of a success is from 200 to 299"

    def contradiction_of_response(self, flags: Collection[str], *, streams: bool) -> str:
        """Returns the contradiction between the policy and the response, whose single bool fields are `flags`."""
        if not self.degraded_field:
            return ""
        if streams:
            return "has degraded_field and streams: a stream that has begun can't be degraded"
        if self.degraded_field not in flags:
            return f"has degraded_field {self.degraded_field!r}, which is no single bool field of its response"
        return ""


def policy_of(method: DescMethod) -> Policy:
    """Returns the policy of a method of any descriptor image."""
    return policy_of_options(method.proto.options)


def policy_of_options(options: MethodOptions | None) -> Policy:
    """Returns the policy in the options of a method."""
    if options is None:
        return Policy(internal=True)
    option = options[ext_method] if ext_method in options else MethodPolicy()
    return Policy(
        public=option.public,
        scopes=frozenset(option.scopes),
        timeout_s=None if option.timeout is None else _seconds(option.timeout),
        rate_limit=_rate_limit(option),
        cache_s=None if option.cache is None else _seconds(option.cache.max_age or Duration()),
        callers=frozenset(option.callers),
        http_status=option.http_status or 200,
        internal=ext_http not in options,
        ignore_unknown_fields=option.ignore_unknown_fields,
        long_poll=option.long_poll,
        invalid_reason=option.invalid_reason,
        error_format=option.error_format,
        degraded_field=option.degraded_field,
        audited=option.audited,
    )


def is_idempotent(method: DescMethod) -> bool:
    """Returns whether the contract declares a method idempotent."""
    return method.idempotency in _IDEMPOTENT


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _is_period(seconds: float) -> bool:
    return 0 < seconds <= _DURATION_S_MAX


def _rate_limit(option: MethodPolicy) -> RateLimit | None:
    limit = option.rate_limit
    if limit is None:
        return None
    return RateLimit(limit.requests, 1.0 if limit.per is None else _seconds(limit.per), limit.counts_rejected)
