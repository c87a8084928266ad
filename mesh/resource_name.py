"""Names of resources (AIP-122) whose last part is a UUID."""

from uuid import UUID


def uid_in(name: str, prefix: str) -> UUID | None:
    """Returns the identifier in a name such as "orders/<uuid>", None if no resource can have this name. Other spellings
    of a UUID, which UUID() accepts, are rejected because a resource has only one name.
    """
    try:
        uid = UUID(name.removeprefix(prefix))
    except ValueError:
        return None
    return uid if name == f"{prefix}{uid}" else None
