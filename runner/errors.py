"""The one error that the command line shows without a traceback."""


class RunnerError(Exception):
    """Something the person at the keyboard can put right; the message says what."""
