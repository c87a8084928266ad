"""The mail server whose messages a person can read."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest

from local import mail, mailbox
from local.child import Child, Command
from local.mailbox import Mailbox
from local.ports import free_ports
from local.supervised_process import answers_ready

TOKEN = "a" * 32


def message(subject: str, text: str) -> EmailMessage:
    """A message as a service sends it."""
    message = EmailMessage()
    message["From"] = "Shop <shop@example.com>"
    message["To"] = "Ada <ada@example.com>"
    message["Subject"] = subject
    message.set_content(text)
    return message


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """A running mail server: the ports of SMTP and of the page."""
    smtp_port, page_port, ops_port = free_ports(3)
    environment = {
        "SMTP_PORT": str(smtp_port),
        "MAIL_PAGE_PORT": str(page_port),
        "OPS_PORT": str(ops_port),
        "MAIL_PAGE_TOKEN": TOKEN,
        "MAIL_FOLDER": str(tmp_path / "mail"),
    }
    with (tmp_path / "log").open("wb") as log:
        child = await Child.start(Command((sys.executable, "-m", "local.mail"), environment), log)
    while not await asyncio.to_thread(answers_ready, ops_port):
        assert child.exit_code is None, (tmp_path / "log").read_text()
        await asyncio.sleep(0.05)
    yield smtp_port, page_port
    assert await child.stop(grace_s=10) == 0, (tmp_path / "log").read_text()


async def test_a_sent_message_can_be_read(ports: tuple[int, int], tmp_path: Path) -> None:
    """The message is in a file, and in the JSON of the page, where no browser interprets it as markup."""
    smtp_port, page_port = ports
    sent = message("Welcome, Zoë", "<script>alert(1)</script>\nGrüße")
    await aiosmtplib.send(sent, hostname="127.0.0.1", port=smtp_port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page_port}/{TOKEN}") as client:
        page = await client.get("/")
        listed = await client.get("/messages")
        [read] = listed.json()
    assert "Welcome" not in page.text
    assert "alert" not in page.text
    assert listed.headers["content-type"] == "application/json"
    assert listed.headers["x-content-type-options"] == "nosniff"
    assert (read["subject"], read["to"]) == ("Welcome, Zoë", "Ada <ada@example.com>")
    assert read["text"].split() == ["<script>alert(1)</script>", "Grüße"]
    assert [path.stem for path in (tmp_path / "mail").iterdir()] == [read["id"]]


async def test_the_page_loads_only_its_own_files(ports: tuple[int, int]) -> None:
    """Its policy allows neither inline scripts nor other hosts, and all that it loads is below the secret path."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}/{TOKEN}") as client:
        page = await client.get("/")
        policy = page.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
        assert page.headers["referrer-policy"] == "no-referrer"
        for name in ("mail.css", "mail.js"):
            assert f'"{name}"' in page.text
            assert (await client.get(f"/{name}")).status_code == 200
        script = (await client.get("/mail.js")).text
    assert "innerHTML" not in script
    assert "http-equiv" not in page.text


async def test_an_unchanged_list_is_not_sent_again(ports: tuple[int, int]) -> None:
    """The page asks every few seconds; the reply is 304 until another message arrives, and the newest is first."""
    smtp_port, page_port = ports
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page_port}/{TOKEN}") as client:
        etag = {"if-none-match": (await client.get("/messages")).headers["etag"]}
        assert (await client.get("/messages", headers=etag)).status_code == 304
        for subject in ("first", "second"):
            await aiosmtplib.send(message(subject, "text"), hostname="127.0.0.1", port=smtp_port)
        changed = await client.get("/messages", headers=etag)
    assert [each["subject"] for each in changed.json()] == ["second", "first"]


async def test_a_message_that_is_too_large_is_refused(ports: tuple[int, int]) -> None:
    """A larger message is rejected with 552 and not stored."""
    smtp_port, page_port = ports
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=smtp_port)
    async with client:
        with pytest.raises(aiosmtplib.SMTPResponseException) as caught:
            await client.sendmail("a@example.com", "b@example.com", b"x\r\n" * (mail.MESSAGE_BYTES_MAX // 3 + 1))
    assert caught.value.code == 552
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{page_port}/{TOKEN}/messages")).json() == []


@pytest.mark.parametrize(
    "path", ["/", "/messages", f"/{TOKEN[1:]}/messages", f"/{TOKEN}a/messages", f"//{TOKEN}/../messages"]
)
async def test_without_the_token_nothing_can_be_read(ports: tuple[int, int], path: str) -> None:
    """Every user of the machine can reach the port, but nothing is served without the secret path."""
    smtp_port, page_port = ports
    await aiosmtplib.send(message("Secret", "code 123"), hostname="127.0.0.1", port=smtp_port)
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{page_port}{path}")
    assert response.status_code == 404
    assert "123" not in response.text


def test_only_their_owner_reads_the_files(tmp_path: Path) -> None:
    """Folder and messages are closed, also where the folder was open before."""
    folder = tmp_path / "mail"
    folder.mkdir(mode=0o755)
    Mailbox(folder).add(b"Subject: x\n\ny\n")
    [path] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)


def test_the_oldest_messages_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most the limit of messages is kept, the newest first."""
    monkeypatch.setattr(mailbox, "MESSAGES_MAX", 3)
    box = Mailbox(tmp_path)
    for number in range(5):
        box.add(message(str(number), "text").as_bytes())
    assert [kept.subject for kept in box.messages()] == ["4", "3", "2"]


def test_a_broken_message_can_still_be_read(tmp_path: Path) -> None:
    """A malformed mail is shown with empty fields and does not break the page."""
    box = Mailbox(tmp_path)
    box.add(b"\nno header\n")
    box.add(b"Content-Type: text/plain; charset=nowhere\n\nhello\xff\n")
    box.add(b"Content-Type: text/plain; charset=unicode_escape\n\n\\ud800\n")
    assert [(kept.subject, kept.text.strip()) for kept in box.messages()] == [
        ("", "?"),
        ("", "hello\ufffd"),
        ("", "no header"),
    ]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"=?utf-8?q?Zo=C3=AB?= <zoe@example.com>,\n bob@example.com", "Zoë <zoe@example.com>, bob@example.com"),
        ("Zoë <zoe@example.com>".encode(), "Zoë <zoe@example.com>"),
        (b"a@[", "a@["),
        (b"=?x?b?:<", "=?x?b?:<"),
        (b".:", ".:"),
        (b"=?nowhere?q?a?=", "=?nowhere?q?a?="),
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        (b"=?unicode_escape?q?=5Cud800?=", "?"),
    ],
)
def test_a_header_can_be_read(tmp_path: Path, raw: bytes, read: str) -> None:
    """A header is decoded; a malformed one, which Python's parser of addresses rejects in odd ways, is shown as is."""
    box = Mailbox(tmp_path)
    box.add(b"To: " + raw + b"\nSubject: " + raw + b"\n\ntext\n")
    [message] = box.messages()
    assert (message.to, message.subject) == (read, read)
