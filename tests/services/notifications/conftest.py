"""Fixtures of the tests of notifications."""

from collections.abc import AsyncIterator

import pytest

from tests.services.notifications.smtp import MailServer


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """Starts an SMTP server without TLS."""
    async with MailServer() as server:
        yield server
