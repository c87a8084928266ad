"""The confirmation of the customers' addresses, by the links in the mails that the local mesh has sent: mails about
orders go to confirmed addresses only.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from email.utils import parseaddr
from typing import Final

from demo.client import Shop
from local.mailbox import Mailbox

WAIT_S_MAX: Final = 60.0
PAUSE_S: Final = 0.25

_LINK: Final = re.compile(r"\S+/account/confirmEmail\?token=(\S+)")


async def confirm_addresses(
    shop: Shop, mailbox: Mailbox, tokens: dict[str, str], done: Callable[[], None], wait_s_max: float = WAIT_S_MAX
) -> int:
    """Confirms the addresses of customers, given with their access tokens, as the mails arrive, and calls `done` for
    each. Returns the number of those that received no mail in time.
    """
    waiting = set()
    for address, token in tokens.items():
        if await shop.is_confirmed(token):
            done()
        else:
            waiting.add(address)
    deadline_s = asyncio.get_running_loop().time() + wait_s_max
    while waiting:
        for address, link in _links(mailbox):
            if address in waiting:
                await shop.confirm_address(link)
                waiting.remove(address)
                done()
        if asyncio.get_running_loop().time() > deadline_s:
            break
        await asyncio.sleep(PAUSE_S)
    return len(waiting)


def _links(mailbox: Mailbox) -> Iterator[tuple[str, str]]:
    """Yields the recipients of links, and the one-time tokens in them, the newest first."""
    for message in mailbox.messages():
        if found := _LINK.search(message.text):
            yield parseaddr(message.to)[1], found[1]
