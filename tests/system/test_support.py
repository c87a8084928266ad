"""Chats through the running mesh, over WebSocket and gRPC, with two replicas of support."""

import asyncio
import contextlib
import json
import re
import subprocess
import sysconfig
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from meshwright.support.v1.support_grpc import SupportServiceClient
from meshwright.support.v1.support_pb import ChatMessage, ChatResponse, WatchConversationRequest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect as connect_blocking
from websockets.typing import Subprotocol

from mesh.client import Channel
from mesh.errors import Unavailable
from tests.services.calls import acting_with
from tests.system.mesh import ROOT, WAIT_TIMEOUT_S, Client, Mesh, eventually, problem


class Chat:
    """A chat over WebSocket, and the position of the last message that it has received."""

    def __init__(self, socket: ClientConnection, resume_token: str) -> None:
        self.socket = socket
        self.resume_token = resume_token

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, client: Client, name: str, resume_token: str = "") -> AsyncIterator["Chat"]:
        """Opens a chat."""
        url, subprotocols = chat_endpoint(client, name)
        async with connect(url, subprotocols=subprotocols, proxy=None) as socket:
            await socket.send(json.dumps({"resumeToken": resume_token}))
            yield cls(socket, resume_token)

    async def post(self, text: str, request_id: str = "") -> None:
        """Posts a message."""
        post = {"text": text, "requestId": request_id or str(uuid.uuid4())}
        await self.socket.send(json.dumps({"post": post}))

    async def next(self, kind: str) -> dict[str, Any]:
        """Returns the next response of a kind."""
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            while kind not in (response := json.loads(await self.socket.recv())):
                self.resume_token = response.get("resumeToken", self.resume_token)
            self.resume_token = response.get("resumeToken", self.resume_token)
        found: dict[str, Any] = response[kind]
        return found

    async def texts(self, count: int) -> list[str]:
        """Returns the texts of the next messages."""
        return [(await self.next("message"))["text"] for _ in range(count)]

    async def connected(self, user: str) -> None:
        """Waits until a user is reported as connected."""
        while (participant := await self.next("participant"))["user"] != user or not participant.get("connected"):
            pass

    async def end(self) -> tuple[int | None, dict[str, Any]]:
        """Waits until the edge closes the WebSocket; returns the code and the last frame."""
        frame = "{}"
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    frame = str(await self.socket.recv())
        return self.socket.close_code, json.loads(frame)


def chat_endpoint(client: Client, name: str) -> tuple[str, list[Subprotocol]]:
    """Returns the URL of a chat, and subprotocols with the token, as a browser sends it."""
    url = f"{str(client.base_url).replace('http', 'ws', 1).rstrip('/')}/v1/{name}:chat"
    return url, [Subprotocol("protojson"), Subprotocol(f"bearer.{client.token}")]


def close_code_after(text: str, url: str, subprotocols: list[Subprotocol]) -> int | None:
    """Posts a text to a chat by a client that reads while it sends; returns the code of the close frame."""
    with connect_blocking(url, subprotocols=subprotocols, proxy=None) as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.send(json.dumps({"resumeToken": ""}))
            socket.send(json.dumps({"post": {"text": text}}))
        with contextlib.suppress(ConnectionClosed):
            while True:
                socket.recv(WAIT_TIMEOUT_S)
    return socket.close_code


def conversation_of(customer: Client) -> str:
    """Creates a conversation, and returns its name."""
    answer = customer.post("/v1/conversations", json={"subject": "A blunt saw"})
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["name"]
    return name


def post(client: Client, name: str, text: str) -> httpx.Response:
    """Posts a message by a call."""
    return client.post(f"/v1/{name}/messages", json={"text": text})


def history(client: Client, name: str) -> list[str]:
    """Returns the texts of all messages, the oldest first."""
    answer = client.get(f"/v1/{name}/messages", params={"pageSize": 200})
    assert answer.status_code == 200, answer.text
    return [message["text"] for message in answer.json().get("messages", [])][::-1]


async def messages(responses: AsyncIterator[ChatResponse], count: int) -> tuple[list[str], str]:
    """Returns the texts of the next messages of a stream, and the token to continue after them."""
    texts: list[str] = []
    resume_token = ""
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        while len(texts) < count:
            response = await anext(responses)
            if response.event is not None and isinstance(response.event.value, ChatMessage):
                texts.append(response.event.value.text)
                resume_token = response.resume_token
    return texts, resume_token


async def test_a_customer_and_staff_chat(customer: Client, staff: Client, other: Client) -> None:
    """Both receive everything in one order, see each other connected, and find the history; others find nothing."""
    name = conversation_of(customer)
    async with Chat.opened(customer, name) as hers, Chat.opened(staff, name) as ours:
        await hers.connected(staff.get("/v1/users/me").json()["name"])
        await hers.post("My saw is blunt")
        assert await ours.texts(1) == ["My saw is blunt"]
        await ours.post("We sharpen it")
        assert await hers.texts(2) == ["My saw is blunt", "We sharpen it"]
        present = customer.get(f"/v1/{name}/participants").json()["participants"]
        assert {(each.get("staff", False), each["connected"]) for each in present} == {(False, True), (True, True)}
    assert history(staff, name) == ["My saw is blunt", "We sharpen it"]
    assert problem(other.get(f"/v1/{name}/messages"))[:3] == (404, "NOT_FOUND", "CONVERSATION_NOT_FOUND")
    assert other.get("/v1/conversations").json() == {}
    assert name in {each["name"] for each in staff.get("/v1/conversations?pageSize=1000").json()["conversations"]}


async def test_a_broken_chat_resumes(customer: Client, staff: Client) -> None:
    """A connection that breaks after a post loses nothing, and the repeated post is not doubled."""
    name, request_id = conversation_of(customer), str(uuid.uuid4())
    async with Chat.opened(customer, name) as chat:
        await chat.post("Received")
        assert await chat.texts(1) == ["Received"]
        await chat.post("Was it posted?", request_id)
        chat.socket.transport.abort()
    post(staff, name, "Missed")
    async with Chat.opened(customer, name, chat.resume_token) as resumed:
        await resumed.post("Was it posted?", request_id)
        await resumed.post("The end")
        received = await resumed.texts(3)
    assert sorted(received) == ["Missed", "The end", "Was it posted?"]
    assert history(customer, name) == ["Received", *received]


async def test_a_chat_survives_the_loss_of_a_replica(mesh: Mesh, customer: Client, staff: Client) -> None:
    """Messages cross between two replicas; after one was killed its client continues at the other."""
    name = conversation_of(customer)
    request = WatchConversationRequest(name=name)
    with mesh.replica("support") as replica:
        async with contextlib.AsyncExitStack() as stack:
            channel = await stack.enter_async_context(Channel("support", replica.address))
            with acting_with(customer.token):
                stream = SupportServiceClient(channel).watch_conversation(request)
                responses = await stack.enter_async_context(stream)
            assert post(staff, name, "From the first to the second").status_code == 201
            received, resume_token = await messages(responses, 1)
            replica.process.kill()
            assert post(staff, name, "While it is dead").status_code == 201
            with pytest.raises(Unavailable):
                await messages(responses, 1)
    assert received == ["From the first to the second"]
    async with Chat.opened(customer, name, resume_token) as chat:
        await chat.post("Here again")
        assert await chat.texts(2) == ["While it is dead", "Here again"]


async def test_a_chat_survives_the_loss_of_every_replica(mesh: Mesh, customer: Client) -> None:
    """The WebSocket closes with UNAVAILABLE, and resumes once the process is back."""
    name = conversation_of(customer)
    async with Chat.opened(customer, name) as chat:
        await chat.post("Before")
        assert await chat.texts(1) == ["Before"]
        mesh.kill("support")
        code, _ = await chat.end()
        assert code == 4014
    await asyncio.to_thread(mesh.wait_until_ready, "support")
    async with Chat.opened(customer, name, chat.resume_token) as resumed:
        await resumed.post("After")
        assert await resumed.texts(1) == ["After"]


async def converse(client: Client, name: str, texts: list[str], count: int) -> list[str]:
    """Posts texts and receives `count` messages as a careful client does: it opens the chat again whenever it is lost,
    and repeats the posts that have no result. Returns what it received.
    """
    unconfirmed = {str(uuid.uuid4()): text for text in texts}
    received: list[str] = []
    resume_token = ""
    while unconfirmed or len(received) < count:
        with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with Chat.opened(client, name, resume_token) as chat:
                for request_id, text in unconfirmed.items():
                    await chat.post(text, request_id)
                while unconfirmed or len(received) < count:
                    response = json.loads(await chat.socket.recv())
                    if "message" in response:
                        received.append(response["message"]["text"])
                        resume_token = response["resumeToken"]
                    if response.get("postResult", {}).get("message"):
                        del unconfirmed[response["postResult"]["requestId"]]
                    elif "postResult" in response:
                        break
        await asyncio.sleep(0.1)
    return received


async def test_nothing_is_lost_or_doubled_under_kills(mesh: Mesh, customer: Client, staff: Client) -> None:
    """While support and the database are killed, everybody receives every message once, in the order of the history."""
    name = conversation_of(customer)
    hers, ours = ([f"{who} {number}" for number in range(100)] for who in ("hers", "ours"))
    chats = [asyncio.create_task(converse(customer, name, hers, 200))]
    chats += [asyncio.create_task(converse(staff, name, texts, 200)) for texts in (ours, [])]
    for part in ("support", "postgres", "support"):
        await asyncio.sleep(1)
        mesh.kill(part)
        await asyncio.to_thread(mesh.wait_until_ready, part)
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        received = await asyncio.gather(*chats)
    assert sorted(received[0]) == sorted(hers + ours)
    assert received[0] == received[1] == received[2] == history(customer, name)
    await asyncio.to_thread(eventually, lambda: all(map(mesh.answers_ready, ("identity", "catalog", "orders"))))


async def test_a_chat_needs_no_broker(mesh: Mesh, customer: Client, staff: Client) -> None:
    """While NATS is down, messages are posted and received."""
    name = conversation_of(customer)
    async with Chat.opened(customer, name) as hers, Chat.opened(staff, name) as ours:
        mesh.kill("nats")
        for number in range(3):
            await hers.post(f"Without a broker {number}")
        assert await ours.texts(3) == [f"Without a broker {number}" for number in range(3)]
    await asyncio.to_thread(mesh.wait_until_ready, "nats")


NODE = Path(sysconfig.get_path("scripts"), "node")
LINES = """
for await (const text of require("readline").createInterface({ input: process.stdin })) chat.post(text);
chat.close();
"""


def browser_code(client: Client, name: str) -> str:
    """Returns the documented code, and a chat of a client in a conversation that prints the messages."""
    [code] = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "chat.md").read_text(), re.DOTALL)
    url = json.dumps(f"{str(client.base_url).replace('http', 'ws', 1).rstrip('/')}/v1/{name}:chat")
    show = "({ message }) => message && console.log(message.text)"
    return f"{code} const chat = new Chat({url}, () => {json.dumps(client.token)}, {show});"


async def test_the_browser_code_of_the_documentation(mesh: Mesh, customer: Client, staff: Client) -> None:
    """The documented code posts and receives every message once, in order, while the service is killed."""
    name = conversation_of(customer)
    node = await asyncio.create_subprocess_exec(
        *(NODE, "--eval", f"(async () => {{ {browser_code(customer, name)} {LINES} }})()"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert node.stdin is not None
    assert node.stdout is not None
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        for number in range(3):
            node.stdin.write(b"Text %d\n" % number)
            assert await node.stdout.readline() == b"Text %d\n" % number
        mesh.kill("support")
        node.stdin.write(b"Posted meanwhile\n")
        await asyncio.to_thread(mesh.wait_until_ready, "support")
        assert await node.stdout.readline() == b"Posted meanwhile\n"
        assert post(staff, name, "Good-bye").status_code == 201
        assert await node.stdout.readline() == b"Good-bye\n"
        node.stdin.close()
        assert (await node.stdout.read(), await node.wait()) == (b"", 0)
    assert history(customer, name) == ["Text 0", "Text 1", "Text 2", "Posted meanwhile", "Good-bye"]


@pytest.mark.parametrize("size", [4_001, 2_000_000])
def test_the_browser_code_does_not_repeat_a_message_that_is_too_long(customer: Client, size: int) -> None:
    """It does not open the chat again to send the same message, also if that exceeds the limit of frames."""
    name = conversation_of(customer)
    post = f"chat.socket.addEventListener('open', () => chat.post('x'.repeat({size})));"
    program = (NODE, "--eval", f"{browser_code(customer, name)} {post}")
    assert subprocess.run(program, timeout=WAIT_TIMEOUT_S, check=False).returncode == 0  # it ends by itself
    assert history(customer, name) == []


@pytest.mark.parametrize("size", [4_001, 1_000_000])
async def test_a_message_that_is_too_long_is_refused(customer: Client, size: int) -> None:
    """REST and WebSocket reject the message with a clear error; the chat can be resumed."""
    name = conversation_of(customer)
    assert post(customer, name, "x" * size).status_code == 400
    async with Chat.opened(customer, name) as chat:
        await chat.post("Fine")
        assert await chat.texts(1) == ["Fine"]
        await chat.post("x" * size)
        code, frame = await chat.end()
    assert (code, frame["error"]["status"]) == (4003, "INVALID_ARGUMENT")
    async with Chat.opened(customer, name, chat.resume_token) as resumed:
        await resumed.post("Short")
        assert await resumed.texts(1) == ["Short"]


async def test_a_message_beyond_the_limit_of_the_edge_is_refused(customer: Client) -> None:
    """The client reads why, though it is still sending when the edge closes; the chat can be resumed."""
    name = conversation_of(customer)
    assert post(customer, name, "x" * 3_000_000).status_code == 413
    async with Chat.opened(customer, name) as chat:
        await chat.post("Fine")
        assert await chat.texts(1) == ["Fine"]
    assert await asyncio.to_thread(close_code_after, "x" * 3_000_000, *chat_endpoint(customer, name)) == 1009
    async with Chat.opened(customer, name, chat.resume_token) as resumed:
        await resumed.post("Short")
        assert await resumed.texts(1) == ["Short"]


async def test_a_deleted_customer_leaves_nothing(customer: Client, staff: Client) -> None:
    """The conversation is erased, and the stream of staff ends."""
    name = conversation_of(customer)
    async with Chat.opened(staff, name) as ours:
        await ours.next("conversation")
        assert post(customer, name, "Forget me").status_code == 201
        assert customer.delete("/v1/users/me").status_code == 200
        code, frame = await ours.end()
    assert (code, frame["error"]["status"]) == (4005, "NOT_FOUND")
    assert problem(staff.get(f"/v1/{name}"))[:3] == (404, "NOT_FOUND", "CONVERSATION_NOT_FOUND")
