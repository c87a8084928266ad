"""The status of a call that failed, as a transport received or made it."""

from mesh.errors import Code, Metadata


class CallError(Exception):
    """A status other than OK. `is_sent` is true if the peer sent this status, false if the transport made it because it
    received none or no valid one. `attempts` is how often the transport made the call.
    """

    def __init__(
        self, code: Code, text: str, *, is_sent: bool = False, initial: Metadata = (), trailing: Metadata = ()
    ) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
        self.is_sent = is_sent
        self.initial_metadata = initial
        self.trailing_metadata = trailing
        self.attempts = 1

    def copy(self) -> "CallError":
        """Returns an equal error. One that is kept must not be raised itself: its traceback would refer to the frames
        of all who raise it, and these to what keeps it.
        """
        initial, trailing = self.initial_metadata, self.trailing_metadata
        copied = CallError(self.code, self.text, is_sent=self.is_sent, initial=initial, trailing=trailing)
        copied.attempts = self.attempts
        return copied
