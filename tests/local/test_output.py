"""The output of the processes, on the terminal and in files."""

import io
import os
import signal
import threading
from pathlib import Path

import pytest

from local import output
from local.output import Console, LogFile


class Terminal(io.BytesIO):
    """A stream that reports itself as a terminal."""

    def isatty(self) -> bool:
        """Returns True."""
        return True


def test_each_line_has_its_process_in_front() -> None:
    """Names are as wide as the longest one, so all lines begin in one column; off a terminal there is no colour."""
    stream = io.BytesIO()
    with Console(["edge", "postgres"], stream) as console:
        console.line("edge", b"ready")
        console.line("postgres", "größer".encode())
    assert stream.getvalue().decode() == "    edge │ ready\npostgres │ größer\n"


def test_each_process_has_its_colour_on_a_terminal() -> None:
    """Only the name is coloured, and two processes differ."""
    stream = Terminal()
    with Console(["a", "b"], stream) as console:
        console.line("a", b"x")
        console.line("b", b"x")
    assert stream.getvalue().decode() == "\x1b[36ma │\x1b[0m x\n\x1b[33mb │\x1b[0m x\n"


def test_a_logged_text_cannot_steer_the_terminal() -> None:
    """Control characters are removed, and bytes that are not UTF-8 are replaced."""
    stream = io.BytesIO()
    with Console(["a"], stream) as console:
        console.line("a", b"\x1b]0;title\x07\tred\xff\r")
    assert stream.getvalue().decode() == "a │ ]0;title\tred\ufffd\n"


def test_a_reader_that_does_not_read_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocked terminal blocks no process; once it reads again, the number of omitted lines is printed."""
    monkeypatch.setattr(output, "LINES_WAITING_MAX", 100)
    reader, writer = os.pipe()
    lines: list[bytes] = []
    with os.fdopen(reader, "rb") as slow:
        reading = threading.Thread(target=lambda: lines.extend(slow))
        with os.fdopen(writer, "wb", buffering=0) as stream, Console(["a"], stream) as console:
            for _ in range(100_000):
                console.line("a", b"x" * 100)
            reading.start()
        reading.join()
    assert len(lines) < 100_000
    assert "lines left out" in lines[-1].decode()


def test_a_reader_that_has_gone_stops_the_mesh() -> None:
    """If the reader has gone, the process gets the signal of a closed terminal."""
    heard = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: heard.set())
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream, Console(["a"], stream) as console:
        console.line("a", b"x")
        assert any(heard.wait(timeout=0.1) for _ in range(300))
    signal.signal(signal.SIGHUP, before)


def test_a_log_file_is_put_aside_when_it_has_grown(tmp_path: Path) -> None:
    """The file and its predecessor hold the newest lines; older files are deleted."""
    log = LogFile(tmp_path / "a.log")
    line = b"x" * (output.FILE_BYTES_MAX // 4)
    for _ in range(20):
        log.write(line)
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    assert (tmp_path / "a.log").stat().st_size <= output.FILE_BYTES_MAX + len(line) + 1


def test_a_full_disk_does_not_stop_the_mesh() -> None:
    """A line that does not fit on the disk is dropped, without another effect."""
    log = LogFile(Path("/dev/full"))
    log.write(b"lost")
    log.write(b"lost, too")
    log.close()


def test_a_removed_log_file_is_made_anew(tmp_path: Path) -> None:
    """After `rm` of the file, or `rm -r` of its folder, the next lines are in a new file."""
    path = tmp_path / "logs" / "a.log"
    log = LogFile(path)
    assert path.exists(), "`make logs` lists it before its first line"
    log.write(b"one")
    path.unlink()
    log.write(b"two")
    assert path.read_bytes() == b"two\n"
    path.unlink()
    path.parent.rmdir()
    log.write(b"three")
    log.write(b"four")
    log.close()
    assert path.read_bytes() == b"three\nfour\n"


def test_a_log_file_that_was_moved_away_is_not_missed(tmp_path: Path) -> None:
    """A large file that has another name already need not be renamed."""
    log = LogFile(tmp_path / "a.log")
    log.write(b"x" * (output.FILE_BYTES_MAX + 1))
    (tmp_path / "a.log").rename(tmp_path / "kept.log")
    log.write(b"more")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"more\n"


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """A line is dropped if the file can be neither opened nor put aside, and lines are logged once it can be."""
    path = tmp_path / "a.log"
    path.mkdir()
    log = LogFile(path)
    log.write(b"lost")
    path.rmdir()
    log.write(b"x" * (output.FILE_BYTES_MAX + 1))
    (tmp_path / "a.log.1").mkdir()
    log.write(b"lost, too")
    (tmp_path / "a.log.1").rmdir()
    log.write(b"found")
    log.close()
    assert path.read_bytes().endswith(b"x\nfound\n")
