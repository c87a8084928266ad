"""The command for the dead letters of one service: events that the service gave up on after all tries.

    python -m mesh.events list
    python -m mesh.events show --id <event id>
    python -m mesh.events replay --id <event id>
    python -m mesh.events replay --all

A dead letter is handled before the events of its aggregate that wait. It is overtaken if a later one was handled: its
handler would see the two in the wrong order, and could restore what has changed since. `replay --overtaken` replays
such dead letters too.

DATABASE_URL is the service's database. CONTRACTS is the descriptor image by which `show` decodes the data of an
event, gen/contracts.binpb by default.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from protobuf.wkt import FileDescriptorSet
from pydantic import Field

from mesh.database import Database
from mesh.errors import MeshError
from mesh.events import inbox_table
from mesh.events.envelope import Envelope
from mesh.events.event_json import as_json
from mesh.events.inbox_table import DeadLetter
from mesh.settings import DatabaseSettings, Text, load

LISTED_MAX = 1000


class DeadLetterSettings(DatabaseSettings):
    """The settings of the command: the service's database, and the contracts."""

    contracts: Text = Field("gen/contracts.binpb", description="the descriptor image", examples=["gen/contracts.binpb"])


def main(arguments: Sequence[str]) -> int:
    """Runs a command and returns the exit status: 1 if there is no dead letter of that id, or the database fails."""
    options = _parser().parse_args(arguments)
    settings = load(DeadLetterSettings)
    try:
        if options.command == "list":
            return asyncio.run(_list(settings))
        if options.command == "show":
            return asyncio.run(_show(settings, options.id))
        return asyncio.run(_replay(settings, options.id, options.overtaken))
    except MeshError as error:
        print(f"{error.message} Check that DATABASE_URL is the service's database.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mesh.events",
        description="Lists, shows and replays the dead letters in the database DATABASE_URL.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the dead letters, oldest first")
    show = commands.add_parser("show", help="show one dead letter with its data and its full error, as JSON")
    show.add_argument("--id", required=True, help="the event with this id")
    replay = commands.add_parser("replay", help="let the service handle dead letters again")
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", help="the event with this id")
    which.add_argument("--all", action="store_true", help="all dead letters")
    replay.add_argument(
        "--overtaken", action="store_true", help="also dead letters whose aggregate had a later event handled"
    )
    return parser


async def _list(settings: DeadLetterSettings) -> int:
    async with Database.open(settings, "events") as database, database.transaction() as tx:
        letters = await inbox_table.dead_letters(tx, LISTED_MAX)
    for letter in letters:
        print(_paragraph(letter))
    more = " (more are not shown)" if len(letters) == LISTED_MAX else ""
    print(f"{_count(len(letters))}{more}")
    return 0


def _count(letters: int) -> str:
    return f"{letters} dead {'letter' if letters == 1 else 'letters'}"


def _paragraph(letter: DeadLetter) -> str:
    tries = f"{letter.attempts} {'try' if letter.attempts == 1 else 'tries'}"
    facts = f"{letter.type} of {letter.aggregate}, received {letter.received_at:%Y-%m-%d %H:%M:%SZ}, {tries}"
    if letter.request_id:
        facts += f", caused by request {letter.request_id}"
    if letter.overtaken:
        facts += ", overtaken by a later event"
    error = "".join(character if character.isprintable() else " " for character in letter.last_error)
    return f"{letter.event_id}\n    {facts}\n    {error}"


async def _show(settings: DeadLetterSettings, event_id: str) -> int:
    async with Database.open(settings, "events") as database, database.transaction() as tx:
        found = await inbox_table.dead_letter(tx, event_id)
    if found is None:
        print(f"There is no dead letter {event_id}.", file=sys.stderr)
        return 1
    letter, envelope = found
    types = FileDescriptorSet.from_binary(Path(settings.contracts).read_bytes()).to_registry()
    facts = {
        "event": as_json(envelope, types),
        "attempts": letter.attempts,
        "received_at": letter.received_at.isoformat(),
        "overtaken": letter.overtaken,
        "last_error": letter.last_error,
    }
    print(json.dumps(facts, indent=2))
    return 0


async def _replay(settings: DeadLetterSettings, event_id: str | None, overtaken: bool) -> int:
    async with Database.open(settings, "events") as database:
        async with database.transaction() as tx:
            replayed = await inbox_table.replay(tx, event_id, overtaken=overtaken)
        async with database.transaction() as tx:
            if event_id is None:
                _, left = await inbox_table.count(tx)
            elif not replayed:
                print(_refusal(event_id, await inbox_table.dead_letter(tx, event_id), overtaken), file=sys.stderr)
                return 1
            else:
                left = 0
    more = f"; {_count(left)} will not, see `list`: they are overtaken, or their aggregates are busy" if left else ""
    print(f"{_count(len(replayed))} will be handled again{more}")
    return 0


def _refusal(event_id: str, found: tuple[DeadLetter, Envelope] | None, overtaken: bool) -> str:
    if found is None:
        return f"There is no dead letter {event_id}."
    letter, _ = found
    if letter.overtaken and not overtaken:
        return (
            f"A later event of {letter.aggregate} was handled. Its handler must not rely on their order: if it does "
            "not, add --overtaken."
        )
    return f"A later event of {letter.aggregate} is being handled. Try again."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
