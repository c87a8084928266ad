"""The mails that the local mesh has sent: the messages of a folder."""

import email
import email.message
import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

MESSAGES_MAX = 1000  # the oldest ones go


@dataclass(frozen=True, slots=True)
class Message:
    """A message, its headers decoded. `time` is when it came in, RFC 3339."""

    id: str
    time: str
    sender: str
    to: str
    subject: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """The message kept in this file."""
        parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = parsed.get_body(("plain", "html"))
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return cls(
            id=path.stem,
            time=time.isoformat(timespec="seconds").replace("+00:00", "Z"),
            sender=str(parsed["from"] or ""),
            to=str(parsed["to"] or ""),
            subject=str(parsed["subject"] or ""),
            text="" if body is None else _text(body),
        )


def _text(part: email.message.MIMEPart) -> str:
    try:
        return str(part.get_content())
    except LookupError:  # its charset is unknown
        return bytes(part.get_payload(decode=True)).decode(errors="replace")


class Mailbox:
    """The messages of a folder, each an .eml file, which any mail program opens. Only their owner can read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)

    def add(self, content: bytes) -> None:
        """Keep a message. It is on disk before its sender is told so."""
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.eml"
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.rename(path)
        for old in self._paths()[MESSAGES_MAX:]:
            old.unlink()

    def messages(self) -> list[Message]:
        """All of them, the newest first."""
        return [Message.read(path) for path in self._paths()]

    def version(self) -> str:
        """Returns a text that changes when a message is added."""
        paths = self._paths()
        return f"{paths[0].stem if paths else ''}.{len(paths)}"

    def _paths(self) -> Sequence[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)
