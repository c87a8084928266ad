"""Tries at the broker of BROKER_URL what no service may do, and what the users of the services in its arguments may;
prints what was not refused.

It runs in a container, by its text, where the standard library is all there is.
"""

import os
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

STREAM_API = "PUB $JS.API.STREAM.{}.MESHWRIGHT"


def attempts(services: Sequence[str]) -> tuple[str, ...]:
    """Returns the attempts: actions that the user of each of these services may take, and actions that no user may
    take.
    """
    return (
        *map(publish, services),
        *map(pull, services),
        *map(subscribe, services),
        *(STREAM_API.format(action) for action in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET")),
        "PUB $JS.API.CONSUMER.CREATE.MESHWRIGHT.attempt",
        *(f"PUB $JS.API.CONSUMER.DELETE.MESHWRIGHT.{service}" for service in services),
        "SUB meshwright.>",
    )


def publish(service: str) -> str:
    """Returns the attempt to publish as a service."""
    return f"PUB meshwright.{service}.v1.Attempt"


def pull(service: str) -> str:
    """Returns the attempt to pull the events of a service."""
    return f"PUB $JS.API.CONSUMER.MSG.NEXT.MESHWRIGHT.{service}"


def subscribe(service: str) -> str:
    """Returns the attempt to receive the answers for a service."""
    return f"SUB _INBOX_{service}.attempt"


def allowed(service: str, *, publishes: bool, consumes: bool) -> set[str]:
    """Returns which of the attempts are a service's right."""
    rights = {publish(service): publishes, pull(service): consumes, subscribe(service): True}
    return {attempt for attempt, is_right in rights.items() if is_right}


def main(services: Sequence[str]) -> None:
    """Prints each attempt that the broker did not refuse, a line each."""
    url = urlsplit(os.environ["BROKER_URL"])
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
        for attempt in attempts(services):
            # A body by which no request can be carried out.
            rest = " 8\r\nnot JSON\r\n" if attempt.startswith("PUB") else " 1\r\nUNSUB 1\r\n"
            if not refusal(attempt + rest):
                print(attempt)


if __name__ == "__main__":
    main(sys.argv[1:])
