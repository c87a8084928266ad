"""Conversion of errors to and from google.rpc.Status."""

import pytest
from googleapis.google.rpc.error_details_pb import RetryInfo
from googleapis.google.rpc.status_pb import Status
from protobuf.wkt import Any, Duration

from mesh.errors import Code, FieldViolation, InvalidArgument, MeshError, Unknown, error_for
from mesh.rpc.status import STATUS_BYTES_MAX, from_status, to_status


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_code_has_its_class_and_survives_the_wire(code: Code) -> None:
    """There is a class for every code, and a round trip changes nothing."""
    error = error_for(code)(
        "why",
        reason="REASON",
        metadata={"key": "value"},
        violations=[FieldViolation("order.lines[0]", "is wrong", "WRONG")],
        retry_after_s=0.5,
    )
    again = from_status(Status.from_binary(to_status(error).to_binary()))
    assert type(again) is type(error)
    assert (again.code, vars(again)) == (code, vars(error))


@pytest.mark.parametrize("code", [-1, 17, 4711])
def test_a_code_that_does_not_exist_is_unknown(code: int) -> None:
    """Codes outside the table are UNKNOWN, as in gRPC."""
    assert error_for(code) is Unknown


def test_details_of_other_types_are_left_out() -> None:
    """An unknown detail does not prevent the others from being read."""
    status = Status(code=5, message="gone", details=[Any.pack(Duration(seconds=1)), Any(type_url="nonsense")])
    error = from_status(status)
    assert (error.code, error.message, error.violations) == (Code.NOT_FOUND, "gone", ())


def test_a_retry_info_without_a_delay_asks_for_no_pause() -> None:
    """An absent Duration is zero seconds, and RetryInfo still says that the same call may succeed."""
    status = Status(code=10, details=[Any.pack(RetryInfo())])
    assert from_status(status).retry_after_s == 0


def test_a_bare_error_has_no_details() -> None:
    """An error without a reason, violations and retry delay has no details."""
    assert to_status(MeshError("why")).details == []


@pytest.mark.parametrize("description", ["", "is wrong", "is wrong " * 20, "is wrong " * 1000])
def test_a_status_stays_within_the_room_of_trailers(description: str) -> None:
    """If not all violations fit, as many of the first as possible are sent."""
    violations = [FieldViolation(f"lines[{n}]", description, "WRONG") for n in range(1000)]
    status = to_status(InvalidArgument("x" * 10_000, reason="WRONG", violations=violations, retry_after_s=1))
    sent = from_status(status).violations
    assert sent == tuple(violations[: len(sent)])
    one_more = len(violations[len(sent)].field) + len(description) + len("WRONG") + 12
    assert STATUS_BYTES_MAX - one_more <= len(status.to_binary()) <= STATUS_BYTES_MAX
