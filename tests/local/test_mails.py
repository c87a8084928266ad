"""`make mails`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import SetupError
from local.home import Home
from local.mailbox import Mailbox, Message
from local.mails import list_mails


def test_mails_are_listed_newest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mail has a line with its time, address and subject; control characters are removed."""
    home = Home(tmp_path)
    mailbox = Mailbox(home.data("mail"))
    mailbox.add(b"To: ada@example.com\nSubject: First\n\nOne\nTwo\n")
    mailbox.add(b"To: bob@example.com\nSubject: Second\n\n\x1b[31mRed\n")
    for path in home.data("mail").glob("*.eml"):
        os.utime(path, (0, 0))
    list_mails(home)
    assert capsys.readouterr().out == (
        "1970-01-01T00:00:00Z  to bob@example.com: Second\n    [31mRed\n\n"
        "1970-01-01T00:00:00Z  to ada@example.com: First\n    One\n    Two\n"
    )


def test_a_mesh_that_never_ran_has_sent_nothing(tmp_path: Path) -> None:
    """The command explains that there are no mails, and creates no folder."""
    home = Home(tmp_path / "home")
    with pytest.raises(SetupError, match="No mail has been sent yet"):
        list_mails(home)
    assert not home.folder.exists()


def test_a_mail_that_is_removed_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail server removes the oldest mails while others are read."""
    mailbox = Mailbox(tmp_path)
    mailbox.add(b"Subject: First\n\nOne\n")
    mailbox.add(b"Subject: Second\n\nTwo\n")
    read = Message.read

    def read_slowly(path: Path) -> Message:
        oldest = min(tmp_path.glob("*.eml"))
        if oldest != path:
            oldest.unlink()
        return read(path)

    monkeypatch.setattr(Message, "read", read_slowly)
    assert [message.subject for message in mailbox.messages()] == ["Second"]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """`make mails | head -1` ends without a traceback."""
    home = Home(tmp_path)
    Mailbox(home.data("mail")).add(b"To: ada@example.com\nSubject: First\n\nOne\n")
    command, environment = [sys.executable, "-m", "local", "mails"], os.environ | {"MESH_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
