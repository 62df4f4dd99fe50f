"""Sets the wall clock of a process, while it runs, by the seconds that a file says.

On the path of a process this module is loaded before anything else, and its forks go on with it.
The clock that counts since the machine was started is left alone, as when a clock is really set.
"""

import os
import threading
import time
from pathlib import Path

import time_machine

_FILE = Path(os.environ["LINDEN_PROOF_CLOCK"])


class _Wall:
    def __init__(self) -> None:
        self._ahead = 0.0
        self._traveller = time_machine.travel(time.time(), tick=True).start()

    def follow(self) -> None:
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            wanted = float(_FILE.read_text())
            if wanted != self._ahead:
                self._traveller.shift(wanted - self._ahead)
                self._ahead = wanted
            time.sleep(0.02)


_wall = _Wall()
_wall.follow()
os.register_at_fork(after_in_child=_wall.follow)
