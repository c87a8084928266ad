"""The letters that templates make: templates/<kind>.txt, a line with the subject, an empty line, and the text."""

from pathlib import Path
from string import Template

from services.notifications.domain.letter import Letter
from services.notifications.domain.notification import Kind

TEMPLATES = Path(__file__).parent / "templates"
SUBJECT = "Subject: "


class Letters:
    """The templates, one for each kind of notification, read once. `$name` in a template stands for a value."""

    def __init__(self, folder: Path = TEMPLATES) -> None:
        """Reads all templates. Raises OSError if one is missing, ValueError if one is malformed."""
        self._templates = {kind: _template(folder / f"{kind.value}.txt") for kind in Kind}

    def write(self, kind: Kind, **values: str) -> Letter:
        """Returns the letter of a kind with these values. Raises KeyError if the template needs another one.

        A subject is one line, so values in it are too: EmailMessage rejects others.
        """
        subject, text = self._templates[kind]
        return Letter(subject.substitute(values), text.substitute(values))


def _template(path: Path) -> tuple[Template, Template]:
    subject, _, text = path.read_text(encoding="utf-8").partition("\n\n")
    templates = Template(subject.removeprefix(SUBJECT)), Template(text)
    if not subject.startswith(SUBJECT) or not all(template.is_valid() for template in templates):
        raise ValueError(f"{path} must have {SUBJECT!r} and a subject, an empty line, and a text for string.Template")
    return templates
