"""Errors that the developer has to fix before the local mesh can run."""


class SetupError(Exception):
    """An error whose text says in a sentence or two what is wrong and how to fix it. No traceback is printed."""
