"""How the demo's people sign in. Loopback only: production settings refuse the demo."""

# Known to everybody on purpose; it opens invented records on this machine and nothing else.
DEMO_PASSWORD = "linden-demo-on-loopback"  # noqa: S105

PHONE_CLIENT = "linden-demo-phone"
DESK_CLIENT = "linden-demo-desk"
LABORATORY_CLIENT = "linden-demo-laboratory"


def patient_email(key: str) -> str:
    """Return the address a demo patient or caregiver signs in with."""
    return f"{key}@patients.example"


def staff_email(key: str) -> str:
    """Return the address a demo member of staff signs in with."""
    return f"{key}@staff.example"
