"""Names of resources (AIP-122) whose last part is a UUID."""

from uuid import UUID


def uid_in(name: str, prefix: str) -> UUID | None:
    """Returns the identifier in a name such as "orders/<uuid>", None if nothing can have this name. UUID() reads other
    spellings of the same number, too; a resource has one name.
    """
    try:
        uid = UUID(name.removeprefix(prefix))
    except ValueError:
        return None
    return uid if name == f"{prefix}{uid}" else None
