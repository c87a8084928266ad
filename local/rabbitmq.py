"""A RabbitMQ server from the operating system's package rabbitmq-server."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from local.child import Command
from local.errors import SetupError
from local.ports import LOOPBACK, free_port
from local.secret import secret, write_secret
from local.server import Server
from mesh.events.rabbitmq.users import User, definitions

# The server's own script. Debian's /usr/sbin/rabbitmq-server is a wrapper that changes to the system server's user.
PROGRAMS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server"),
    Path("/usr/local/opt/rabbitmq/sbin/rabbitmq-server"),
)
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1, section 4.2.2: the server answers with a method frame (type 1)

CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
load_definitions = {definitions}
disk_free_limit.absolute = 256MB
max_message_size = 1048576
raft.wal_max_size_bytes = 67108864
"""


def program() -> Path | None:
    """Returns the program of the server; None if it is not installed."""
    return next((path for path in PROGRAMS if path.exists()), None)


def _version(path: Path) -> int:
    """Returns the major version, which is part of the name of the program's folder."""
    name = path.resolve().parent.parent.name  # rabbitmq_server-3.10.8, or 4.2.1 of Homebrew
    return int(name.rpartition("-")[2].partition(".")[0])


class RabbitMQServer(Server):
    """A broker with these users. Their passwords are generated once and kept below `folder`, with mode 0600.

    The node has its own name, cookie and data. Erlang's port mapper (epmd) is not started: there is one for a whole
    machine, it listens on all interfaces, and it outlives its last node. The node is reachable by its own port only.
    """

    name: ClassVar[str] = "rabbitmq"
    start_timeout_s: ClassVar[float] = 60.0
    stop_grace_s: ClassVar[float] = 15.0

    def __init__(
        self,
        folder: Path,
        users: Sequence[User],
        port: int | None = None,
        *,
        policies: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Prepares the server. `policies` are added to the broker's usual ones."""
        super().__init__(folder, port)
        self._users = users
        self._policies = policies
        self._distribution_port = free_port()

    def url(self, user: str) -> str:
        """Returns the URL with which this user connects."""
        return f"amqp://{user}:{self._password(user)}@{LOOPBACK}:{self.port}/"

    async def command(self) -> Command:
        """Writes the configuration and returns the command that runs the server with it."""
        path = program()
        if path is None:
            raise SetupError("RabbitMQ is not installed. On Debian and Ubuntu: sudo apt-get install rabbitmq-server")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        passwords = {user.name: self._password(user.name) for user in self._users}
        defined = definitions(self._users, passwords, _version(path))
        defined["policies"] += self._policies
        write_secret(self.folder / "definitions.json", json.dumps(defined, indent=2))
        write_secret(self.folder / "enabled_plugins", "[].")
        (self.folder / ".erlang.cookie").unlink(missing_ok=True)
        write_secret(self.folder / ".erlang.cookie", secret(self.folder / "passwords" / ".erlang"))
        (self.folder / ".erlang.cookie").chmod(0o400)
        text = CONFIGURATION.format(host=LOOPBACK, port=self.port, definitions=self.folder / "definitions.json")
        write_secret(self.folder / "rabbitmq.conf", text)
        return Command((str(path),), self._environment())

    async def ready(self, pid: int) -> bool:
        """Returns whether it has opened its port, once it has recovered its queues and loaded its definitions."""
        with suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            try:
                writer.write(PROTOCOL_HEADER)
                return await reader.readexactly(1) == b"\x01"
            finally:
                writer.close()
        return False

    def _environment(self) -> dict[str, str]:
        # RabbitMQ binds data to the name of the node, so the name depends on the folder and not on the port.
        node = f"meshwright-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}@localhost"
        return {
            "HOME": str(self.folder),  # Erlang reads the cookie here
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),  # instead of the one in /etc
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script execs the server, which then gets SIGTERM itself
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-sname {node} -erl_epmd_port {self._distribution_port} -kernel inet_dist_use_interface {{127,0,0,1}}"
            ),
            # Also for the program that RabbitMQ runs once a minute only to have epmd started. That fails, and no more.
            "ERL_ZFLAGS": "-start_epmd false",
        }

    def _password(self, user: str) -> str:
        return secret(self.folder / "passwords" / user)
