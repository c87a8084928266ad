"""The grammar of addresses, which contract, settings and mailer share."""

import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from meshwright.identity.v1.identity_pb import CreateUserRequest

from mesh.email_address import is_email_address
from mesh.validation import Validator
from services.notifications.domain.letter import Letter
from services.notifications.domain.notification import Kind, Notification
from services.notifications.senders.mail import UndeliverableMail, compose

VALIDATOR = Validator()
NOTIFICATION = Notification(UUID(int=7), "users/ada", Kind.WELCOME, "Welcome", datetime(2026, 1, 2, tzinfo=UTC))
LABEL = "a" * 63

GOOD = [
    "a@b.co",
    "ada.lovelace+shop@example.com",
    "o'neil@example.com",
    "!#$%&'*+/=?^_`{|}~-@example.com",
    f"{'a' * 64}@example.com",
    f"a@{LABEL}.com",
    f"a@{LABEL}.{LABEL}.{LABEL}.{'a' * 58}.c",
    "ada@xn--bcher-kva.example",
    "ADA@EXAMPLE.COM",
    "a@1.2.3.4.e5",
]
BAD = [
    "a@1.2.3.4.5e",
    "",
    "ada",
    "@example.com",
    "ada@",
    "a..b@example.com",
    ".a@example.com",
    "a.@example.com",
    "a@example..com",
    "a@.example.com",
    "a@example.com.",
    "a@example",
    "a@-example.com",
    "a@example-.com",
    "a@exa_mple.com",
    "a@127.0.0.1",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    '"a b"@example.com',
    '"a"@example.com',
    "a(comment)@example.com",
    "a b@example.com",
    " a@example.com",
    "a@example.com ",
    "a@example.com\n",
    "a@example.com\r\nBcc: eve@example.com",
    "a\0@example.com",
    "a\x7f@example.com",
    "a@b@example.com",
    "a@b.com,c@d.com",
    "<a@example.com>",
    "Ada <a@example.com>",
    "ädä@example.com",
    "a@bücher.example",
    "a@example.\u2024com",
    "а@example.com",  # noqa: RUF001 # a Cyrillic letter
    f"{'a' * 65}@example.com",
    f"a@{'a' * 64}.com",
    f"a@{LABEL}.{LABEL}.{LABEL}.{'a' * 59}.c",
]


def contract_accepts(address: str) -> bool:
    """Returns whether a registration with this address is valid by the contract."""
    request = CreateUserRequest(email=address, password="12345678", display_name="Ada")
    return not any(violation.field == "email" for violation in VALIDATOR.violations(request))


def mailer_accepts(address: str) -> bool:
    """Returns whether a mail to this address can be composed."""
    try:
        message = compose(NOTIFICATION, Letter("Hi", "text"), sender="shop@example.com", recipient=address)
    except UndeliverableMail:
        return False
    return bool(message["To"].addresses[0].addr_spec == address and message.as_bytes())


@pytest.mark.parametrize(("address", "good"), [*((each, True) for each in GOOD), *((each, False) for each in BAD)])
def test_contract_settings_and_mailer_have_one_grammar(address: str, good: bool) -> None:
    """An address is either accepted by all three or by none."""
    assert (is_email_address(address), contract_accepts(address), mailer_accepts(address)) == (good, good, good)


def test_contract_and_mailer_agree_on_random_addresses() -> None:
    """They agree on some thousand short texts of the significant characters, valid and invalid ones."""
    source, takes = random.Random(20), []
    for _ in range(3000):
        local = "".join(source.choice("a.B+-_'\"@ \n\r<(\\,é0") for _ in range(source.randint(1, 5)))
        domain = "".join(source.choice("ab.-1c") for _ in range(source.randint(1, 6)))
        address = f"{local}@{domain}"
        takes.append(is_email_address(address))
        assert (contract_accepts(address), mailer_accepts(address)) == (takes[-1], takes[-1]), repr(address)
    assert 0 < sum(takes) < len(takes)
