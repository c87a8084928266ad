"""A launcher that replaces itself by a program which cannot outlive the process that started it.

    python -I -S launcher.py <parent pid> <signal> <user or ""> <program> <argument>…

The kernel sends the signal to this process when its parent dies for any reason: prctl(2), PR_SET_PDEATHSIG. The
setting survives execve(2) but not a change of user, and a hook between fork and exec is unsafe in a process with
threads. Therefore this is a separate program; it imports little and costs ten milliseconds. Other systems than Linux
have no such call: there, the next `make up` ends the processes that a killed supervisor left behind.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, user: str, argv: list[str]) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the parent died before the call above
        sys.exit(1)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
