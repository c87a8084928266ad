"""The release of what an error's frames hold, once the error has been answered."""


def release_frames(error: BaseException) -> None:
    """Drops the traceback of an error and the errors that caused it, and with them the variables of their frames, such
    as a body of megabytes. Many of these variables refer to the error in turn, so that only the garbage collector
    would free them, and it runs after thousands of calls.
    """
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each.__traceback__ is not None:
            waiting += (each.__cause__, each.__context__)
            each.__traceback__ = each.__cause__ = each.__context__ = None
