"""`make mails`: the mails that the mesh has sent."""

from local.errors import SetupError
from local.home import Home
from local.mailbox import Mailbox, Message
from local.output import CONTROL_CHARACTERS


def list_mails(home: Home) -> None:
    """Prints the mails, the newest first. Raises SetupError if no mesh has run here."""
    folder = home.data("mail")
    if not folder.exists():
        raise SetupError("No mail has been sent yet. `make up` starts the mesh.")
    messages = Mailbox(folder).messages()
    print("\n\n".join(map(as_text, messages)) or "No mail has been sent yet.")


def as_text(message: Message) -> str:
    """Returns a mail as text: a line of headers and the indented body. Control characters are removed, because they
    could control the terminal.
    """
    body = message.text.strip().replace("\n", "\n    ")
    text = f"{message.time}  to {message.to}: {message.subject}\n    {body}"
    return CONTROL_CHARACTERS.sub(b"", text.encode()).decode()
