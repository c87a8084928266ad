"""Etags of resources."""

import pytest

from mesh.errors import Aborted
from mesh.etag import check_etag


@pytest.mark.parametrize("given", ["", "7"])
def test_the_current_version_and_none_pass(given: str) -> None:
    """An empty etag matches every version."""
    check_etag(given, "7", "It has changed.")


def test_another_version_is_refused_with_the_current_one() -> None:
    """The error holds the current etag."""
    with pytest.raises(Aborted, match=r"^It has changed\.$") as caught:
        check_etag("6", "7", "It has changed.")
    assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"etag": "7"})
