"""The freed memory that the allocator keeps, in processes of their own. Only glibc has arenas and malloc_info(3)."""

import subprocess
import sys
from pathlib import Path

ARENAS = """
import ctypes, sys, threading
from mesh.malloc import share_one_arena

share_one_arena()
started = threading.Barrier(4)

def work():
    block = bytearray(100_000)  # too large for the cache of the thread itself
    started.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
if hasattr(libc, "malloc_info"):
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
"""

BLOCKS = """
import os
from mesh.malloc import return_blocks_from

def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

return_blocks_from(1024 * 1024)
before = resident_bytes()
for _ in range(3):
    block = bytearray(20 * 1024 * 1024)
    del block
print(resident_bytes() - before)
"""


def run(program: str, *arguments: str) -> str:
    """Returns what a program of Python prints."""
    command = (sys.executable, "-c", program, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_threads_share_one_arena(tmp_path: Path) -> None:
    """After four threads have used the allocator, it has no arena but the first."""
    report = tmp_path / "report.xml"
    report.touch()
    run(ARENAS, str(report))
    assert report.read_text().count("<heap nr=") <= 1


def test_freed_blocks_return_to_the_system() -> None:
    """Less stays resident than one block of 20 MiB."""
    assert int(run(BLOCKS)) < 10 * 1024 * 1024
