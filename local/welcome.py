"""The text that `make up` prints when the mesh is ready: addresses, and three calls to try."""

import os

from local import processes
from local.home import Home
from local.secret import write_secret

WELCOME = """
The mesh is up.

  REST       {url}
  API docs   {url}/docs
  Mail       {mail_url}
  Staff      {staff_email}, password in {staff_login_file}

Three calls to try:

{calls}
`make demo` fills the shop; `make status` and `make logs` look inside; Ctrl-C stops everything and keeps the data.
"""

CALLS = """\
curl {url}/v1/users -H 'content-type: application/json' \\
  -d '{{"email": "ada@example.com", "password": "analytical engine", "display_name": "Ada"}}'

TOKEN=$(curl -s {url}/v1/oauth2/token -d grant_type=password -d username=ada@example.com \\
  --data-urlencode 'password=analytical engine' | {access_token})

curl {url}/v1/information -H "authorization: Bearer $TOKEN"
"""

STAFF_LOGIN = """\
email: {email}
password: {password}

TOKEN=$(curl -s {url}/v1/oauth2/token -d grant_type=password -d username={email} -d password={password} \\
  | {access_token})
"""

ACCESS_TOKEN = """sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/'"""  # every machine has sed


def welcome(home: Home, ports: dict[str, int], staff_email: str) -> str:
    """Returns the text."""
    url = processes.public_url(ports)
    return WELCOME.format(
        url=url,
        mail_url=processes.mail_url(home, ports),
        staff_email=staff_email,
        staff_login_file=os.path.relpath(home.staff_login_file),
        calls=CALLS.format(url=url, access_token=ACCESS_TOKEN),
    )


def write_staff_login(home: Home, ports: dict[str, int], staff_email: str) -> None:
    """Writes the login of the first member of staff to a file that only its owner can read."""
    text = STAFF_LOGIN.format(
        email=staff_email,
        password=home.secret(processes.secret_file("STAFF_PASSWORD")),
        url=processes.public_url(ports),
        access_token=ACCESS_TOKEN,
    )
    write_secret(home.staff_login_file, text)
