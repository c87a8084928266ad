"""The pauses between tries."""

from mesh.events.retries import Retries


def test_pauses_double_up_to_the_longest_and_then_it_gives_up() -> None:
    """Each pause is between half and all of a value that doubles up to a maximum; after the last try there is none."""
    retries = Retries(attempts_max=6, pause_first_s=1, pause_max_s=5)
    for attempts, full_s in enumerate([1, 2, 4, 5, 5], start=1):
        pauses = [retries.pause_s(attempts) for _ in range(100)]
        assert all(pause is not None and full_s / 2 <= pause <= full_s for pause in pauses)
        assert len(set(pauses)) > 1
    assert retries.pause_s(6) is None
