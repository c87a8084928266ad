"""Calls the edge without a pause until its standard input ends, and prints what became of the calls as JSON.

    python load.py <host> <port> <token> <product>

It runs in a pod, where the standard library is all there is. Nothing is retried: half of the clients keep their
connection for as long as the edge lets them, half open one for each call; they read and they write.
"""

import http.client
import itertools
import json
import sys
import threading
import time
import uuid
from collections import Counter

CLIENTS = 8
PAUSE_S = 0.02
TIMEOUT_S = 30
FAILURES_SHOWN = 20


def main() -> None:
    """Prints {"answers": {status: count}, "failures": [sentence]}."""
    host, port, token, product = sys.argv[1:]
    answers: Counter[int] = Counter()
    failures: list[str] = []
    stop = threading.Event()

    def call_on(keep: bool) -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
        for method, path, body in itertools.cycle(requests(product)):
            if stop.wait(PAUSE_S):
                return
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            if not keep:
                headers["connection"] = "close"
            begun = time.time()
            try:
                connection.request(method, path.format(id=uuid.uuid4()), json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failures.append(f"{begun:.3f} {'kept ' if keep else ''}{method} {path}: {error!r}")
                continue
            answers[response.status] += 1
            if response.status >= 400:
                failures.append(f"{begun:.3f} {method} {path}: {response.status} {text[:300]!r}")

    clients = [threading.Thread(target=call_on, args=(index % 2 == 0,)) for index in range(CLIENTS)]
    for client in clients:
        client.start()
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.join()
    print(json.dumps({"answers": answers, "failures": failures[:FAILURES_SHOWN], "failed": len(failures)}))


def requests(product: str) -> list[tuple[str, str, dict[str, object] | None]]:
    """Returns one call of every kind: method, path, body."""
    return [
        ("GET", "/v1/information", None),
        ("GET", f"/v1/{product}", None),
        ("POST", "/v1/orders?request_id={id}", {"lines": [{"product": product, "quantity": 1}]}),
        ("GET", "/v1/orders?page_size=5", None),
    ]


if __name__ == "__main__":
    main()
