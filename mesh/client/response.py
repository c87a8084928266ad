"""The response to a unary call."""

from dataclasses import dataclass

from mesh.errors import Metadata


@dataclass(slots=True)
class UnaryResponse:
    """The response to a call: its message as bytes, and the metadata before and after it."""

    message: bytes
    initial_metadata: Metadata
    trailing_metadata: Metadata

    @property
    def metadata(self) -> Metadata:
        """Returns the initial and the trailing metadata together."""
        return (*self.initial_metadata, *self.trailing_metadata)
