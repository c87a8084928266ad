"""The status of a call that failed."""

from mesh.errors import Code
from mesh.rpc.call_error import CallError


def test_a_copy_is_equal() -> None:
    """All that a caller learns from an error is in its copy, too."""
    error = CallError(Code.UNAVAILABLE, "gone", is_sent=True, initial=(("a", "1"),), trailing=(("b", "2"),))
    error.attempts = 3
    copied = error.copy()
    assert copied is not error
    assert (str(copied), vars(copied)) == (str(error), vars(error))
