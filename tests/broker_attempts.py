"""Tries at the broker of NATS_URL what no service may do, and what its user alone may; prints what was not refused.

It runs in a container, by its text, where the standard library is all there is.
"""

import os
import socket
import sys
from urllib.parse import urlsplit

PUBLISHERS = ("catalog", "identity", "orders")
CONSUMERS = ("notifications",)
SERVICES = (*PUBLISHERS, *CONSUMERS)

STREAM_API = "PUB $JS.API.STREAM.{}.MESHWRIGHT"
ATTEMPTS = (
    *(f"PUB meshwright.{service}.v1.Attempt" for service in SERVICES),
    *(f"PUB $JS.API.CONSUMER.MSG.NEXT.MESHWRIGHT.{service}" for service in SERVICES),
    *(f"SUB _INBOX_{service}.attempt" for service in SERVICES),
    *(STREAM_API.format(action) for action in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET")),
    "PUB $JS.API.CONSUMER.CREATE.MESHWRIGHT.attempt",
    "PUB $JS.API.CONSUMER.DELETE.MESHWRIGHT.notifications",
    "SUB meshwright.>",
)


def allowed(service: str) -> set[str]:
    """Returns which of the attempts are a service's right."""
    rights = {f"SUB _INBOX_{service}.attempt"}
    if service in PUBLISHERS:
        rights.add(f"PUB meshwright.{service}.v1.Attempt")
    if service in CONSUMERS:
        rights.add(f"PUB $JS.API.CONSUMER.MSG.NEXT.MESHWRIGHT.{service}")
    return rights


def main() -> None:
    """Prints each attempt that the broker did not refuse, a line each."""
    url = urlsplit(os.environ["NATS_URL"])
    connect = f'CONNECT {{"verbose": false, "user": "{url.username}", "pass": "{url.password}"}}\r\n'
    with socket.create_connection((url.hostname, url.port), 10) as connection, connection.makefile("rb") as answers:
        answers.readline()  # INFO

        def refusal(command: str) -> str:
            connection.sendall(f"{command}PING\r\n".encode())
            said = ""
            while (line := answers.readline()) != b"PONG\r\n":
                if not line:
                    sys.exit(f"The broker ended the connection. {said}")
                said += line.decode() if line.startswith(b"-ERR") else ""
            return said

        if said := refusal(connect):
            sys.exit(said)
        for attempt in ATTEMPTS:
            # A body by which no request can be carried out.
            rest = " 8\r\nnot JSON\r\n" if attempt.startswith("PUB") else " 1\r\nUNSUB 1\r\n"
            if not refusal(attempt + rest):
                print(attempt)


if __name__ == "__main__":
    main()
