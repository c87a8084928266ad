"""The grammar of the e-mail addresses that the mesh accepts, in one place for contracts, settings and mail.

Every mail server accepts these addresses. RFC 5322 allows more: this is a dot-atom without quotes and comments, and a
domain name, not an address literal. Addresses are ASCII, so that no server needs SMTPUTF8 (RFC 6531); an
internationalized domain is written in its "xn--" form. The regular expression takes linear time and means the same to
RE2, Python and ECMAScript.
"""

import re
from typing import Final

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1035, section 2.3.4: 63 octets at most
_TOP_LABEL: Final = r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 3696, section 2: not all-numeric

LOCAL_PART_LENGTH_MAX: Final = 64  # RFC 5321, section 4.5.3.1.1
LENGTH_MAX: Final = 254  # RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets

PATTERN: Final = rf"{_ATOM}([.]{_ATOM})*@({_LABEL}[.])+{_TOP_LABEL}"
"""The pattern of a whole address, without anchors and without the limits on length."""

_ADDRESS: Final = re.compile(PATTERN)


def is_email_address(text: str) -> bool:
    """Returns whether `text` is an e-mail address."""
    return len(text) <= LENGTH_MAX and _ADDRESS.fullmatch(text) is not None and text.index("@") <= LOCAL_PART_LENGTH_MAX
