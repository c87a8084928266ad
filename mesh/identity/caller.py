"""The caller of a method: a user, a workload, or nobody."""

from dataclasses import dataclass

WORKLOAD_PREFIX = "workloads/"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a method. `subject` is "users/…", "workloads/…", or empty if the caller is anonymous; `expires_at`
    is a Unix time in seconds. This token has ended if one of `ended_ids` is in the list of ended tokens.
    """

    subject: str = ""
    scopes: frozenset[str] = frozenset()
    token: str = ""
    expires_at: float = 0.0
    ended_ids: tuple[str, ...] = ()

    @property
    def workload(self) -> str | None:
        """Returns the name of a workload that calls as itself, None for a user or an anonymous caller."""
        return self.subject.removeprefix(WORKLOAD_PREFIX) if self.subject.startswith(WORKLOAD_PREFIX) else None


ANONYMOUS = Caller()
