"""The browser applications in which users may sign in."""

from collections.abc import Mapping, Sequence


class BrowserClients:
    """The applications and their redirect URIs. As public clients they have no secret (RFC 6749, section 2.1)."""

    def __init__(self, redirect_uris: Mapping[str, Sequence[str]], issuer: str) -> None:
        """URIs that begin with "/" are below the public URL of the mesh, `issuer`."""
        base = issuer.rstrip("/")
        self._uris = {
            client: frozenset(base + uri if uri.startswith("/") else uri for uri in uris)
            for client, uris in redirect_uris.items()
        }

    def has(self, client_id: str) -> bool:
        """Returns whether this is one of the applications."""
        return client_id in self._uris

    def allows(self, client_id: str, redirect_uri: str) -> bool:
        """Returns whether this is a redirect URI of the client, character by character (RFC 9700, section 2.1)."""
        return redirect_uri in self._uris.get(client_id, ())
