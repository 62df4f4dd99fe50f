"""Which feature hears of which event: the one place where features meet."""


def subscribe_all() -> None:
    """Register every subscriber; called once when the project starts."""
