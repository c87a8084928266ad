"""`make logs`."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from local.errors import SetupError
from local.follow import Log, follow
from local.home import Home


def test_new_lines_are_found_across_files(tmp_path: Path) -> None:
    """Each line is printed once and whole, also the last ones before a rotation of the file."""
    path = tmp_path / "orders.log"
    path.write_bytes(b"one\ntw")
    with closing(Log(path)) as log:
        assert list(log.new_lines()) == [b"one"]
        with path.open("ab") as file:
            file.write(b"o\nthree\n")
        path.rename(tmp_path / "orders.log.1")
        path.write_bytes(b"four\n")
        assert list(log.new_lines()) == [b"two", b"three", b"four"]
        assert list(log.new_lines()) == []


def test_a_log_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """The error lists the existing names, or explains that no mesh has run yet."""
    home = Home(tmp_path)
    with pytest.raises(SetupError, match="There are no logs yet"):
        follow(home, None)
    home.create()
    home.log("orders").touch()
    with pytest.raises(SetupError, match=r"There is no log of 'order'\. Use one of: orders"):
        follow(home, "order")


def test_a_process_that_starts_later_is_followed(tmp_path: Path) -> None:
    """`make logs` beside a `make up` that has just begun prints the lines of all processes."""
    home = Home(tmp_path)
    home.create()
    home.log("nats").write_bytes(b"listening\n")
    command = [sys.executable, "-m", "local", "logs"]
    with subprocess.Popen(command, env=os.environ | {"MESH_HOME": str(tmp_path)}, stdout=subprocess.PIPE) as process:
        giving_up = Timer(20, process.kill)
        giving_up.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "nats │ listening\n".encode()
        home.log("orders").write_bytes(b"begun\n")
        assert process.stdout.readline() == "orders │ begun\n".encode()
        home.log("nats").write_bytes(b"listening\nconnected\n")
        assert process.stdout.readline() == "  nats │ connected\n".encode()
        giving_up.cancel()
        process.kill()


def test_a_name_may_be_written_as_its_folder(tmp_path: Path) -> None:
    """The log of the service in services/order_items is named order-items; both spellings find it."""
    home = Home(tmp_path)
    home.create()
    home.log("order-items").touch()
    with pytest.raises(SetupError, match=r"There is no log of 'order-item'\. Use one of: order-items"):
        follow(home, "order_item")
    command = [sys.executable, "-m", "local", "logs", "order_items"]
    with subprocess.Popen(command, env=os.environ | {"MESH_HOME": str(tmp_path)}, stdout=subprocess.PIPE) as process:
        home.log("order-items").write_bytes(b"counted\n")
        assert process.stdout is not None
        assert b"order-items" in process.stdout.readline()
        process.kill()
