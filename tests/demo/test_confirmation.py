"""The confirmation of the addresses of the demo's customers."""

import asyncio
from pathlib import Path

from demo.client import Shop
from demo.confirmation import confirm_addresses
from local.mailbox import Mailbox


class ShopStandIn(Shop):
    """A shop whose customers have confirmed the addresses of these access tokens."""

    def __init__(self, *confirmed: str) -> None:
        super().__init__("http://localhost")
        self._confirmed = set(confirmed)
        self.used: list[str] = []

    async def is_confirmed(self, token: str) -> bool:
        """Returns whether this token confirmed the address."""
        return token in self._confirmed

    async def confirm_address(self, one_time_token: str) -> None:
        """Records the one-time token."""
        self.used.append(one_time_token)


def send(mailbox: Mailbox, address: str, token: str) -> None:
    """Delivers a mail with the link that confirms an address."""
    link = f"http://localhost:8080/v1/account/confirmEmail?token={token}"
    mailbox.add(f"To: {address}\r\nSubject: Welcome\r\n\r\nConfirm it:\r\n{link}\r\n".encode())


async def test_addresses_are_confirmed_by_the_newest_link(tmp_path: Path) -> None:
    """Each customer without a confirmed address confirms once, also if the mail is late; other mails stay unread."""
    mailbox, done = Mailbox(tmp_path), list[None]()
    for address, token in (("ada@example.com", "old"), ("ada@example.com", "new"), ("eve@example.com", "eve")):
        send(mailbox, address, token)
    async with ShopStandIn("of bob") as shop:
        tokens = {f"{name}@example.com": f"of {name}" for name in ("ada", "bob", "late")}
        confirming = asyncio.create_task(confirm_addresses(shop, mailbox, tokens, lambda: done.append(None)))
        while len(done) < 2:
            await asyncio.sleep(0.01)
        send(mailbox, "late@example.com", "late")
        assert await confirming == 0
    assert shop.used == ["new", "late"]
    assert len(done) == 3


async def test_a_mail_that_does_not_arrive_stops_nothing(tmp_path: Path) -> None:
    """The customer is counted."""
    async with ShopStandIn() as shop:
        tokens = {"ada@example.com": "of ada"}
        assert await confirm_addresses(shop, Mailbox(tmp_path), tokens, lambda: None, wait_s_max=0) == 1
