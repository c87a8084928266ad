"""What the developer has to put right before the local mesh can run."""


class SetupError(Exception):
    """Its text is one or two sentences for a person: what is wrong, and what to do. It is shown without a stack."""
