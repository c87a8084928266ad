"""What the processes print, on the terminal and in files."""

import io
from pathlib import Path

from mesh.local import output
from mesh.local.output import Console, LogFile


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_each_line_has_its_process_in_front() -> None:
    """Names are as wide as the longest one, so all lines begin in one column; off a terminal there is no colour."""
    stream = io.StringIO()
    console = Console(["edge", "postgres"], stream)
    console.line("edge", b"ready")
    console.line("postgres", "größer".encode())
    assert stream.getvalue() == "    edge │ ready\npostgres │ größer\n"


def test_each_process_has_its_colour_on_a_terminal() -> None:
    """Only the name is coloured, and two processes differ."""
    stream = Terminal()
    console = Console(["a", "b"], stream)
    console.line("a", b"x")
    console.line("b", b"x")
    assert stream.getvalue() == "\x1b[36ma │\x1b[0m x\n\x1b[33mb │\x1b[0m x\n"


def test_a_logged_text_cannot_steer_the_terminal() -> None:
    """Control characters are left out, bytes that are no UTF-8 are replaced."""
    stream = io.StringIO()
    Console(["a"], stream).line("a", b"\x1b]0;title\x07\tred\xff\r")
    assert stream.getvalue() == "a │ ]0;title\tred\ufffd\n"


def test_a_log_file_is_put_aside_when_it_has_grown(tmp_path: Path) -> None:
    """The file and the one before it hold the newest lines; no third one is kept."""
    log = LogFile(tmp_path / "a.log")
    line = b"x" * (output.FILE_BYTES_MAX // 4)
    for _ in range(20):
        log.write(line)
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    assert (tmp_path / "a.log").stat().st_size <= output.FILE_BYTES_MAX + len(line) + 1


def test_a_full_disk_does_not_stop_the_mesh() -> None:
    """A line that cannot be written for lack of space is lost, and nothing else happens."""
    log = LogFile(Path("/dev/full"))
    log.write(b"lost")
    log.write(b"lost, too")
    log.close()
