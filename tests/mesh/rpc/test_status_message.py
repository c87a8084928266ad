"""The text of a status as a header."""

import pytest

from mesh.rpc import status_message


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", b""),
        ("No such order: 'a'.", b"No such order: 'a'."),
        ("100 %", b"100 %25"),
        ("\tü\r\n", b"%09%C3%BC%0D%0A"),
        (" two  spaces  ", b"%20two  spaces %20"),
        (" ", b"%20"),
    ],
)
def test_text_is_percent_encoded(text: str, encoded: bytes) -> None:
    """Also a space at either end, which clients would drop."""
    assert status_message.encode(text) == encoded
