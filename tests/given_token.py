"""Service tokens for tests: a fixed token in the place of one that an issuer sends."""

from mesh.identity import ServiceTokens


class GivenToken(ServiceTokens):
    """A fixed token, as service tokens."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def token(self) -> str:
        """Returns the token."""
        return self._text
