"""What the tests of notifications share."""

from collections.abc import AsyncIterator

import pytest

from tests.services.notifications.smtp import MailServer


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """An SMTP server without TLS."""
    async with MailServer() as server:
        yield server
