"""The mailbox that an address leads to."""

# Domains whose mailboxes ignore dots in the local part, so that one mailbox has many spellings.
_DOTLESS_DOMAINS = frozenset({"gmail.com", "googlemail.com"})


def mailbox(address: str) -> str:
    """Normalises an address, so that addresses of one mailbox are likely to become equal: to lower case, without a
    subaddress (RFC 5233), and without the dots that some providers ignore. For counting only, not for sending.
    """
    local, _, domain = address.lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _DOTLESS_DOMAINS:
        local = local.replace(".", "")
    return f"{local}@{domain}"
