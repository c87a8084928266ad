"""The descriptor image of the contracts, which `make generate` writes into a checkout."""

from pathlib import Path
from typing import Final

from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from local.declarations.problem import Problem, WrongDeclarations

IMAGE: Final = "gen/contracts.binpb"


def read_contracts(root: Path) -> Registry:
    """Returns the contracts in the image of a checkout. Raises WrongDeclarations if it can't be read."""
    try:
        return FileDescriptorSet.from_binary((root / IMAGE).read_bytes()).to_registry()
    except FileNotFoundError:
        why = "is missing"
    except OSError as error:
        why = f"can't be read: {error.strerror}"
    except ValueError as error:
        why = f"is no descriptor image: {error}"
    raise WrongDeclarations([Problem(IMAGE, 1, f"{why}. To make it again: make generate")])
