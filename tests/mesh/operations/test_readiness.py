"""The readiness of a process, as shown on /readyz."""

from mesh.errors import Unavailable
from mesh.operations import Readiness
from tests.mesh.operations.client import get


class Part:
    """A component of a process that can be made to fail."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.failure = failure

    async def check(self) -> None:
        """Raises the failure."""
        if self.failure is not None:
            raise self.failure


async def test_a_process_is_ready_between_start_and_drain() -> None:
    """A process is ready from the end of its start until it drains."""
    readiness = Readiness()
    starting = await get(readiness, "/readyz")
    readiness.serve()
    serving = await get(readiness, "/readyz")
    readiness.drain()
    draining = await get(readiness, "/readyz")
    assert [answer.status_code for answer in (starting, serving, draining)] == [503, 200, 503]
    assert serving.json() == {"ready": True, "checks": {}}


async def test_readiness_names_failing_components_and_no_internals() -> None:
    """The message of a MeshError is shown, that of an unexpected error is not."""
    readiness = Readiness()
    readiness.serve()
    readiness.add(Part("good"))
    readiness.add(Part("catalog", Unavailable("can't be reached")))
    readiness.add(Part("database", RuntimeError("password=hunter2")))
    answer = await get(readiness, "/readyz")
    assert answer.status_code == 503
    checks = {"catalog": "can't be reached", "database": "does not work"}
    assert answer.json() == {"ready": False, "checks": checks}
