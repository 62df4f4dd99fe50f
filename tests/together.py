"""Several writers at once, each on a thread and a database connection of its own."""

import threading
from collections.abc import Callable, Sequence

from django.db import connections

from core.errors import DomainError


def together(work: Sequence[Callable[[], str]]) -> list[str]:
    """Start every step at the same moment; return what each returned, or the code of its refusal.

    Sorted, for nobody knows who is first. Any other error fails the test.
    """
    barrier = threading.Barrier(len(work))
    found: list[str] = []
    errors: list[Exception] = []

    def one(step: Callable[[], str]) -> None:
        try:
            barrier.wait(10)
            found.append(step())
        except DomainError as refusal:
            found.append(refusal.code)
        except Exception as error:
            errors.append(error)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=one, args=(step,)) for step in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    return sorted(found)
