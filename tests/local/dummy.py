"""A process for a supervisor: it is ready at once, and behaves by its arguments.

    dummy.py <port> <record> [die | deaf | leave | die-later | heir]

It answers every request on the port with 200 and adds its port to the file `record` when it is asked to stop. `die`: it
ends at once. `deaf`: it does not listen when it is asked to stop. `die-later` and `leave`: it answers once and
ends, with exit code 7 or 0. `heir`: another process inherits its output; it prints the id of that one.
"""

import os
import signal
import socket
import sys
from pathlib import Path


def stop(*_: object) -> None:
    """Records that the process was asked to stop, and exits."""
    with Path(sys.argv[2]).open("a") as record:
        record.write(f"{sys.argv[1]}\n")
    sys.exit(0)


def main() -> None:
    """Answers requests until the process is stopped."""
    print("hello from", sys.argv[1], flush=True)
    if "heir" in sys.argv:
        print("heir", os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ, setsid=True), flush=True)
    if "die" in sys.argv:
        sys.exit(7)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else stop)
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            if "die-later" in sys.argv:
                sys.exit(7)
            if "leave" in sys.argv:
                sys.exit(0)


if __name__ == "__main__":
    main()
