"""Free loopback ports, held so that two systems starting together never choose the same."""

import socket
from contextlib import ExitStack

from runner.errors import RunnerError

LOOPBACK = "127.0.0.1"
TRIES = 200


def any_free_port() -> int:
    """Return a loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def accepts(port: int, *, timeout_seconds: float = 1.0) -> bool:
    """Whether something on this machine accepts connections on `port`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` at this moment."""
    with socket.socket() as probe:
        # A connection that lingers after its server stopped does not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


class PortReservations:
    """Ports this system has chosen.

    The reservation is a bound UDP port of the same number: it disappears with the process, needs
    no file, and works between accounts. The web server shares its TCP port among its workers
    (SO_REUSEPORT), so a second system could otherwise bind the very same one unnoticed.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def take(self, preferred: int) -> int:
        """Return `preferred` or the next free port above it, reserved until `close`.

        Raises: RunnerError after 200 taken ports.
        """
        for port in range(preferred, preferred + TRIES):
            guard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                guard.bind((LOOPBACK, port))
            except OSError:
                guard.close()
                continue
            if not is_free(port):
                guard.close()
                continue
            self._held.enter_context(guard)
            return port
        raise RunnerError(f"No free port between {preferred} and {preferred + TRIES - 1}.")

    def close(self) -> None:
        self._held.close()
