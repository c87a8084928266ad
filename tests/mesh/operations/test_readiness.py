"""Readiness of a process, as /readyz has it."""

from mesh.errors import Unavailable
from mesh.operations import Readiness
from tests.mesh.operations.client import get


class Part:
    """A part of a process that fails as it is told to."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.failure = failure

    async def check(self) -> None:
        """Raises the failure."""
        if self.failure is not None:
            raise self.failure


async def test_a_process_is_ready_between_start_and_drain() -> None:
    """Readiness begins when the process serves, and ends when it drains."""
    readiness = Readiness()
    starting = await get(readiness, "/readyz")
    readiness.serve()
    serving = await get(readiness, "/readyz")
    readiness.drain()
    draining = await get(readiness, "/readyz")
    assert [answer.status_code for answer in (starting, serving, draining)] == [503, 200, 503]
    assert serving.json() == {"ready": True, "checks": {}}


async def test_readiness_names_what_is_missing_and_nothing_more() -> None:
    """A known error says its sentence, an unknown one nothing of its text."""
    readiness = Readiness()
    readiness.serve()
    readiness.add(Part("good"))
    readiness.add(Part("catalog", Unavailable("can't be reached")))
    readiness.add(Part("database", RuntimeError("password=hunter2")))
    answer = await get(readiness, "/readyz")
    assert answer.status_code == 503
    checks = {"catalog": "can't be reached", "database": "does not work"}
    assert answer.json() == {"ready": False, "checks": checks}
