"""What a contract says about the operation of a method: its options (meshwright.policy.v1.method), read from the
descriptor.
"""

from dataclasses import dataclass

from googleapis.google.api.annotations_pb import ext_http
from meshwright.policy.v1.policy_pb import MethodPolicy, ext_method
from protobuf import DescMethod
from protobuf.wkt import Duration
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

ANY_WORKLOAD = "*"
EDGE = "edge"
DEFAULT_TIMEOUT_S = 10.0  # of a method whose contract names none

_IDEMPOTENT = frozenset({MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT})


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` calls in any `per_s` seconds."""

    requests: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one method. The defaults are those of a method without the option: a valid token, no scope.

    `internal` methods have no google.api.http rule: only the workloads in `callers` may call them. `cache_s` is the
    max-age of the answer in seconds, 0 forbids storing it, None says nothing.
    """

    public: bool = False
    scopes: frozenset[str] = frozenset()
    timeout_s: float | None = None
    rate_limit: RateLimit | None = None
    cache_s: int | None = None
    callers: frozenset[str] = frozenset()
    http_status: int = 200
    internal: bool = False
    ignore_unknown_fields: bool = False
    long_poll: bool = False
    invalid_reason: str = ""

    def admits_workload(self, workload: str) -> bool:
        """Whether the contract lets this workload call as itself."""
        return workload in self.callers or ANY_WORKLOAD in self.callers

    @property
    def connecting(self) -> frozenset[str]:
        """The workloads whose connections may make this call, whoever's token they send: those that the contract names,
        and the edge where there is a route. The service mesh's policies, the services and the check of the code go by
        this.
        """
        return self.callers if self.internal else self.callers | {EDGE}

    def admits_connection(self, workload: str) -> bool:
        """Returns whether a call may come from this workload, whoever's token it sends."""
        return not self.connecting.isdisjoint({workload, ANY_WORKLOAD})

    @property
    def contradiction(self) -> str:
        """Why the policy can't be as it is, to continue the name of the method; empty if it can."""
        if self.public and self.scopes:
            return "is public and wants scopes: a method that needs no token can't ask for scopes of one"
        return ""


def policy_of(method: DescMethod) -> Policy:
    """The policy of a method of any descriptor image."""
    return policy_of_options(method.proto.options)


def policy_of_options(options: MethodOptions | None) -> Policy:
    """Returns the policy that the options of a method hold."""
    if options is None:
        return Policy(internal=True)
    option = options[ext_method] if ext_method in options else MethodPolicy()
    return Policy(
        public=option.public,
        scopes=frozenset(option.scopes),
        timeout_s=_seconds(option.timeout),
        rate_limit=_rate_limit(option),
        cache_s=int(_seconds(option.cache.max_age) or 0) if option.cache else None,
        callers=frozenset(option.callers),
        http_status=option.http_status or 200,
        internal=ext_http not in options,
        ignore_unknown_fields=option.ignore_unknown_fields,
        long_poll=option.long_poll,
        invalid_reason=option.invalid_reason,
    )


def is_idempotent(method: DescMethod) -> bool:
    """Returns whether the contract says that calling a method twice does no more than calling it once."""
    return method.idempotency in _IDEMPOTENT


def _seconds(duration: Duration | None) -> float | None:
    return None if duration is None else duration.seconds + duration.nanos / 1e9


def _rate_limit(option: MethodPolicy) -> RateLimit | None:
    limit = option.rate_limit
    return None if limit is None else RateLimit(limit.requests, _seconds(limit.per) or 1.0)
