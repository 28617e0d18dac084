"""What may go wrong, and the exit code that says so."""


class SkewlessError(Exception):
    """A failure that a person can act on: what and where in the message, what to do in `hint`."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.log: str | None = None  # of another process that failed and whose failure this is


class UsageError(SkewlessError):
    """The command was wrong: an unknown project, a port out of range."""

    exit_code = 2


class GateError(SkewlessError):
    """A gate said no: a red build, a receipt that differs, drift."""

    exit_code = 3
