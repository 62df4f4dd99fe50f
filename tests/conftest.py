"""Fixtures that every test shares: the two database roles, a small cast, and a clock.

Tests run as the run-time role on a database that the owner made (DECISIONS 15). Rows of patients
are made inside `core.db.identity(system(...))`, as background work would make them. Django is
imported inside the fixtures, so that the tests of pure rules need none of it.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    import pytest_django

    from accounts.models import User
    from tests.cast import Cast, SignIn
    from tests.machine import Machine

# A change is judged by the same cases each time, on however slow a machine; new ones are looked
# for with `--hypothesis-profile=search`.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile("same")

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def _fast_emptying() -> Iterator[None]:
    """Tests that commit clean up behind them in a tenth of the time."""
    from django.test import TransactionTestCase

    from tests.emptying import empty

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield


@pytest.fixture(scope="session", autouse=True)
def _travelling() -> Iterator[None]:
    """A test that travels in time takes the machine along: its clock is not set, time passes."""
    from core import clock

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "_clock", clock.SteadyClock(running_ns=lambda: time.time_ns()))
        yield


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, now: datetime) -> "Machine":
    """The portal runs on a machine whose clock the test sets."""
    from core import clock
    from tests.machine import Machine

    made = Machine(now)
    monkeypatch.setattr(clock, "_clock", made.clock())
    return made


@pytest.fixture
def now() -> datetime:
    """A Sunday morning, 10:00 in Berlin."""
    return NOW


@pytest.fixture
def cast(db: None, now: datetime) -> "Cast":
    """Anna and her caregiver, a stranger, staff of two clinics. See tests/cast.py."""
    from tests.cast import make_cast

    return make_cast(now)


@pytest.fixture
def sign_in() -> "SignIn":
    """Open a browser of somebody's own that is signed in."""
    from django.test import Client

    def make(user: "User") -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    return make


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_blocker: "pytest_django.DjangoDbBlocker", django_db_modify_db_settings: None
) -> Iterator[None]:
    """Make one test database as the owner; both aliases use it."""
    from django.conf import settings
    from django.db import connections
    from django.test.utils import setup_databases, teardown_databases

    with django_db_blocker.unblock():
        config = setup_databases(
            verbosity=0, interactive=False, aliases=["default", settings.OWNER_DATABASE]
        )
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        teardown_databases(config, verbosity=0)


@pytest.fixture
def run_time_role(db: None) -> None:
    """Assert that tests use the role that production uses."""
    from django.conf import settings
    from django.db import connection, connections

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.rolsuper, r.rolbypassrls, pg_get_userbyid(d.datdba) = current_user "
            "FROM pg_roles r, pg_database d "
            "WHERE r.rolname = current_user AND d.datname = current_database()"
        )
        assert cursor.fetchone() == (False, False, False)
    assert (
        connections[settings.OWNER_DATABASE].settings_dict["USER"]
        != (connections["default"].settings_dict["USER"])
    )
