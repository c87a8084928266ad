"""The command that creates what the contracts need in the broker: what carries events, and a subscription for each
service that consumes some.

    python -m mesh.events.provision [--keep]

BROKER_URL is the broker, with the provisioner as its user; CONTRACTS is the descriptor image, gen/contracts.binpb by
default. It updates what differs and deletes no event. With --keep it waits for a broker that is away and repeats the
work until SIGTERM, so that a broker which has lost its data gets everything back.
"""

import argparse
import asyncio
import itertools
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

import structlog
from protobuf.wkt import FileDescriptorSet
from pydantic import Field

from mesh.background import stop
from mesh.contract.events import Participant, participants
from mesh.errors import Unavailable
from mesh.events.adapters import provision
from mesh.settings import EventSettings, Text, load

log = structlog.get_logger()

ATTEMPTS_MAX = 30
ATTEMPT_PAUSE_S = 1.0
KEEP_PAUSE_S = 10.0


class ProvisionSettings(EventSettings):
    """The settings of the provisioner: the broker and the contracts."""

    contracts: Text = Field("gen/contracts.binpb", description="the descriptor image", examples=["gen/contracts.binpb"])


async def _provision_with_retries(url: str, services: Sequence[Participant], keep: bool) -> None:
    """Provisions the broker as soon as it answers. Without `keep`, raises the last error after half a minute."""
    for _ in itertools.count() if keep else range(ATTEMPTS_MAX - 1):
        try:
            await provision(url, services)
        except Unavailable as error:
            log.info("could not provision the broker yet", error=_cause(error))
            await asyncio.sleep(ATTEMPT_PAUSE_S)
        else:
            return
    await provision(url, services)


async def _run(settings: ProvisionSettings, keep: bool) -> None:
    services = participants(FileDescriptorSet.from_binary(Path(settings.contracts).read_bytes()).to_registry())
    url = settings.broker_url.get_secret_value()
    await _provision_with_retries(url, services, keep)
    log.info("the broker is provisioned", consumers=[service.name for service in services if service.consumes])
    while keep:
        await asyncio.sleep(KEEP_PAUSE_S)
        await _provision_with_retries(url, services, keep)


async def _until_terminated(work: Coroutine[None, None, None]) -> None:
    """Runs `work` until SIGTERM. The first process of a container ignores SIGTERM unless it handles it."""
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(_wait_for(terminated))
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stop([working, waiting])
    if not working.cancelled():
        working.result()


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


def _cause(error: Unavailable) -> str:
    return f"{type(error.__cause__).__name__}: {error.__cause__}"


def main(arguments: Sequence[str]) -> int:
    """Provisions the broker and returns the exit status: 1 if the broker rejects a request or does not answer."""
    parser = argparse.ArgumentParser(
        prog="python -m mesh.events.provision",
        description="Creates what the contracts need in the broker of BROKER_URL.",
    )
    parser.add_argument("--keep", action="store_true", help="keep running, and restore what the broker loses")
    options = parser.parse_args(arguments)
    settings = load(ProvisionSettings)
    try:
        work = _run(settings, options.keep)
        asyncio.run(_until_terminated(work) if options.keep else work)
    except Unavailable as error:
        print(f"The broker of BROKER_URL could not be provisioned: {_cause(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
