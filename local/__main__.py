"""The commands behind the Makefile's targets: python -m local <command>. Without a command it prints the list.

All that takes time to import is imported where Ctrl-C ends it without a traceback.
"""

import argparse
import errno
import os
import sys
from typing import TYPE_CHECKING, Final

from local.errors import SetupError

if TYPE_CHECKING:
    from local.home import Home

PRINTING: Final = frozenset({"status", "logs", "dead-letters", "events", "mails"})
"""The commands whose output is piped into others."""

WHAT_TO_DO: Final = {
    errno.ENOSPC: "The disk is full. Free some space, or set MESH_HOME to a folder on another disk.",
    errno.EMFILE: "This process has as many files open as it may. Raise the limit: ulimit -n 4096.",
}


def main() -> int:
    """Runs the command and returns the exit status: 0 on success, 1 when something has to be fixed first."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Run and inspect the mesh on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the mesh and run it until Ctrl-C")
    commands.add_parser("down", help="stop the mesh that runs in another terminal")
    restarted = commands.add_parser("restart", help="restart one of the processes")
    restarted.add_argument("service", nargs="?", help="the name of the process")
    commands.add_parser("status", help="list the processes; the exit status is 0 if all are ready")
    logs = commands.add_parser("logs", help="follow the logs of the processes")
    logs.add_argument("service", nargs="?", help="only this process")
    commands.add_parser("clean", help="stop the mesh and remove its data")
    letters = commands.add_parser("dead-letters", help="list the dead letters of a service")
    letters.add_argument("service", nargs="?", help="the name of the service")
    one = letters.add_mutually_exclusive_group()
    one.add_argument("--show", metavar="ID", help="show one dead letter with its data")
    one.add_argument("--replay", metavar="ID", help="handle one dead letter, or `all`, again")
    letters.add_argument("--overtaken", action="store_true", help="replay out of order too")
    psql = commands.add_parser("psql", help="open the database of a service")
    psql.add_argument("service", nargs="?", help="the name of the service")
    events = commands.add_parser("events", help="follow the events that a service publishes")
    events.add_argument("service", nargs="?", help="the name of the service")
    commands.add_parser("mails", help="list the mails that were sent, newest first")
    arguments = parser.parse_args()
    try:
        from local.home import Home

        return run_and_flush(arguments, Home.of_environment())
    except SetupError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and arguments.command in PRINTING:
            # The reader of the output, such as head, has seen enough; Python's own flush at the end must not fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if error.errno not in WHAT_TO_DO:
            raise
        print(WHAT_TO_DO[error.errno], file=sys.stderr)
    except KeyboardInterrupt:  # the usual end of `logs` and `events`, and of any other that has not begun yet
        return 0
    return 1


def run_and_flush(arguments: argparse.Namespace, home: "Home") -> int:
    """Runs one command and writes all that it has printed, so that a closed pipe is noticed here."""
    try:
        return run(arguments, home)
    finally:
        sys.stdout.flush()


def run(arguments: argparse.Namespace, home: "Home") -> int:
    """Runs one command. Each command imports its own modules, because `up` has to start quickly."""
    command = arguments.command
    if command == "up":
        import asyncio

        from local.up import up

        asyncio.run(up(home))
    elif command == "status":
        from local.status import status

        return 0 if status(home) else 1
    elif command == "restart":
        from local.restart import restart

        restart(home, arguments.service)
    elif command == "logs":
        from local.follow import follow

        follow(home, arguments.service)
    elif command == "dead-letters":
        from local.dead_letters import dead_letters

        return dead_letters(home, arguments.service, arguments.show, arguments.replay, arguments.overtaken)
    elif command == "psql":
        from local.psql import psql

        psql(home, arguments.service)
    elif command == "events":
        import asyncio

        from local.events import follow_events

        asyncio.run(follow_events(home, arguments.service))
    elif command == "mails":
        from local.mails import list_mails

        list_mails(home)
    else:
        from local.down import down

        ran = down(home)
        if command == "down":
            print("The mesh is stopped; its data is kept." if ran else "No mesh runs here.")
        else:
            from local.postgres import Postgres

            Postgres(home.data(Postgres.name)).remove()
            removed = home.remove()
            print(f"{home.folder} is removed." if removed else f"There is no {home.folder} to remove.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
