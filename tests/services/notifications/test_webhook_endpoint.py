"""The rules of webhook endpoints and deliveries."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh.errors import Aborted, FailedPrecondition, NotFound, PermissionDenied
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.domain.webhook_delivery import (
    RETRY_AFTER_S_MAX,
    SCHEDULE,
    Attempt,
    Message,
    State,
    WebhookDelivery,
    uids_of,
)
from services.notifications.domain.webhook_endpoint import (
    DISABLE_AFTER,
    ENDPOINTS_MAX,
    DisableReason,
    EndpointDetails,
    WebhookEndpoint,
    check_count,
    check_enabled,
    check_scope,
    owned_by,
    uid_of,
)
from services.notifications.domain.webhook_secret import OVERLAP, WebhookSecrets

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DETAILS = EndpointDetails("https://example.com/", "", (), all_orders=False)
SECRETS = WebhookSecrets("key")


def endpoint() -> WebhookEndpoint:
    """Returns a new endpoint of Ada's."""
    return WebhookEndpoint.create(UUID(int=7), "users/ada", DETAILS, disabled=False, now=NOW)


def delivery() -> WebhookDelivery:
    """Returns a new delivery."""
    message = Message(UUID(int=1), "users/ada", "order.placed", b"{}")
    return WebhookDelivery(UUID(int=2), UUID(int=7), message, State.PENDING, create_time=NOW, due_time=NOW)


def attempt(status: int | None, retry_after_s: float = 0.0) -> Attempt:
    """Returns an attempt with this result."""
    return Attempt(NOW, timedelta(seconds=1), status, retry_after_s=retry_after_s)


def test_an_update_makes_a_new_version() -> None:
    """Not one that changes nothing; a stale etag is rejected."""
    first = endpoint()
    second = first.update(EndpointDetails("https://a.example/", "", (), False), disabled=True, etag="1", now=NOW)
    assert (second.etag, second.disable_reason) == ("2", DisableReason.OWNER)
    assert second.update(second.details, disabled=True, etag="2", now=NOW) is second
    with pytest.raises(Aborted):
        second.update(DETAILS, disabled=False, etag="1", now=NOW)


def test_others_find_nothing() -> None:
    """The error is the same for another user's endpoint, a missing one, and an invalid name."""
    for found in (None, endpoint()):
        with pytest.raises(NotFound):
            owned_by("users/eve", found)
    for name in ("webhookEndpoints/7", f"webhookEndpoints/{UUID(int=7).hex}", f"others/{UUID(int=7)}"):
        with pytest.raises(NotFound):
            uid_of(name)
    for name in (endpoint().name, f"{endpoint().name}/deliveries/7", f"deliveries/{UUID(int=7)}"):
        with pytest.raises(NotFound):
            uids_of(name)


def test_limits_of_endpoints() -> None:
    """A user has at most ten, only staff sees all orders, and a disabled one is not called."""
    check_count(ENDPOINTS_MAX - 1)
    with pytest.raises(FailedPrecondition):
        check_count(ENDPOINTS_MAX)
    everything = EndpointDetails("https://example.com/", "", (), all_orders=True)
    check_scope(everything, staff=True)
    with pytest.raises(PermissionDenied):
        check_scope(everything, staff=False)
    with pytest.raises(FailedPrecondition):
        check_enabled(endpoint().disable(DisableReason.OWNER, NOW))


def test_a_rotated_secret_overlaps_with_the_previous_one() -> None:
    """Both sign until the overlap ends, then the new one alone; meanwhile there is no second rotation."""
    first = endpoint()
    rotated = first.rotate_secret(NOW)
    [old] = first.signing_secrets(SECRETS, NOW)
    new, same = rotated.signing_secrets(SECRETS, NOW + OVERLAP - timedelta(seconds=1))
    assert same == old != new
    assert rotated.signing_secrets(SECRETS, NOW + OVERLAP) == [new]
    with pytest.raises(FailedPrecondition):
        rotated.rotate_secret(NOW + timedelta(hours=1))
    assert rotated.rotate_secret(NOW + OVERLAP).secret_version == 3


def test_the_schedule_has_ten_attempts_in_three_days() -> None:
    """Each failure makes the delivery due later, with jitter; after the tenth it has failed."""
    failing = delivery()
    pauses = []
    for _ in range(9):
        failing = failing.attempted(attempt(500))
        assert failing.due_time is not None
        pauses.append((failing.due_time - NOW).total_seconds())
    assert failing.state is State.PENDING
    for pause_s, planned_s in zip(pauses, SCHEDULE.pauses_s, strict=True):
        assert 0.8 * planned_s <= pause_s <= 1.2 * planned_s
    failed = failing.attempted(attempt(None))
    assert (failed.state, failed.due_time, len(failed.attempts)) == (State.FAILED, None, 10)


def test_pauses_have_jitter() -> None:
    """Deliveries that failed together are retried at different times."""
    assert len({RetrySchedule((100,)).pause_s(1) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("status", "state"), [(200, State.SUCCEEDED), (204, State.SUCCEEDED), (302, State.PENDING), (410, State.FAILED)]
)
def test_the_status_decides(status: int, state: State) -> None:
    """2xx ends a delivery, 410 too, anything else is repeated."""
    assert delivery().attempted(attempt(status)).state is state


@pytest.mark.parametrize(
    ("asked_s", "least_s", "most_s"), [(1, 4, 6), (600, 600, 600), (1e9, RETRY_AFTER_S_MAX, RETRY_AFTER_S_MAX)]
)
def test_a_receiver_can_ask_for_a_pause(asked_s: float, least_s: float, most_s: float) -> None:
    """A longer one than the schedule's, by a day at most."""
    postponed = delivery().attempted(attempt(503, asked_s))
    assert postponed.due_time is not None
    assert least_s <= (postponed.due_time - NOW).total_seconds() <= most_s


class Health(RuleBasedStateMachine):
    """An endpoint, and a model that remembers every result since the last success."""

    @initialize()
    def create(self) -> None:
        """Starts with a new endpoint."""
        self.now = NOW
        self.endpoint = endpoint()
        self.first_failure: datetime | None = None
        self.reason: DisableReason | None = None

    @rule(hours=st.integers(1, 80))
    def wait(self, hours: int) -> None:
        """Lets time pass."""
        self.now += timedelta(hours=hours)

    @rule(succeeded=st.booleans(), gone=st.booleans(), overloaded=st.booleans())
    def deliver(self, succeeded: bool, gone: bool, overloaded: bool) -> None:
        """Attempts a delivery, which a disabled endpoint does not get."""
        if self.reason is not None:
            return
        self.endpoint = self.endpoint.after(succeeded=succeeded, gone=gone, overloaded=overloaded, now=self.now)
        if overloaded:
            self.reason = DisableReason.OVERLOADED
            return
        if succeeded:
            self.first_failure = None
            return
        self.first_failure = self.first_failure or self.now
        if gone:
            self.reason = DisableReason.GONE
        elif self.now - self.first_failure >= DISABLE_AFTER:
            self.reason = DisableReason.FAILING

    @rule(disabled=st.booleans())
    def set_disabled(self, disabled: bool) -> None:
        """Enables or disables it as its owner."""
        changes = disabled != (self.reason is not None)
        self.endpoint = self.endpoint.update(DETAILS, disabled=disabled, etag="", now=self.now)
        if changes:
            self.reason = DisableReason.OWNER if disabled else None
            self.first_failure = None

    @invariant()
    def agrees(self) -> None:
        """Checks that the endpoint is disabled when the model says so, with the same reason."""
        assert self.endpoint.disable_reason is self.reason
        assert self.endpoint.failing_since == self.first_failure


TestHealth = Health.TestCase
TestHealth.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
