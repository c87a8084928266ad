"""The mails that the local mesh has sent, as messages in a folder."""

import email
import email.message
import email.policy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from pathlib import Path
from typing import Self
from uuid import uuid4

MESSAGES_MAX = 1000  # then the oldest ones are removed


@dataclass(frozen=True, slots=True)
class Message:
    """A message with decoded headers. `time` is the time of its arrival in the format of RFC 3339."""

    id: str
    time: str
    sender: str
    to: str
    subject: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Returns the message in this file."""
        parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = parsed.get_body(("plain", "html"))
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return cls(
            id=path.stem,
            time=time.isoformat(timespec="seconds").replace("+00:00", "Z"),
            sender=_header(parsed, "from"),
            to=_header(parsed, "to"),
            subject=_header(parsed, "subject"),
            text="" if body is None else _text(body),
        )


def _header(message: email.message.EmailMessage, name: str) -> str:
    """Returns a header without its encoding (RFC 2047), empty if there is none. Python's parser of addresses, which
    `message[name]` calls, raises all kinds of errors for malformed ones.
    """
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name), "")
    text = " ".join(raw.encode(errors="surrogateescape").decode(errors="replace").split())
    with suppress(LookupError, ValueError, MessageError):  # its charset or its encoding is wrong
        text = str(make_header(decode_header(text)))
    return _encodable(text)


def _text(part: email.message.MIMEPart) -> str:
    try:
        return _encodable(str(part.get_content()))
    except (LookupError, UnicodeError):  # its charset is unknown, or none for texts
        return bytes(part.get_payload(decode=True)).decode(errors="replace")


def _encodable(text: str) -> str:
    """Returns the text without the halves of surrogate pairs, which some charsets can hold, and UTF-8 can't."""
    return text.encode(errors="replace").decode()


class Mailbox:
    """The messages of a folder, each an .eml file that any mail program can open. Only their owner can read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)

    def add(self, content: bytes) -> None:
        """Stores a message. It is in its file when the method returns."""
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.eml"
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.rename(path)
        for old in self._paths()[MESSAGES_MAX:]:
            old.unlink()

    def messages(self) -> list[Message]:
        """Returns all messages, the newest first."""
        found = []
        for path in self._paths():
            with suppress(FileNotFoundError):  # the mail server has just removed it, as one of the oldest
                found.append(Message.read(path))
        return found

    def version(self) -> str:
        """Returns a text that changes when a message is added."""
        paths = self._paths()
        return f"{paths[0].stem if paths else ''}.{len(paths)}"

    def _paths(self) -> Sequence[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)
