"""Anna, registered as the desk and she herself would do it."""

from datetime import datetime

import pytest
from django.core.cache import cache

from accounts import services
from core.db import identity, system
from patients import services as patient_services
from tests.accounts.phone import PASSWORD
from tests.cast import organization


@pytest.fixture(autouse=True)
def nobody_tried_before() -> None:
    """Forget the attempts that sign-in limits count: tests share one address."""
    cache.clear()


@pytest.fixture
def anna_registered(db: None, now: datetime) -> None:
    place = organization("Lindenhof Clinic", "Europe/Berlin")
    user = services.open_account(email="anna@example.org", password=PASSWORD, now=now)
    with identity(system("registration")):
        patient_services.register_patient(
            demographics=patient_services.Demographics("Anna", "Testmann", now.date()),
            organization=place,
            user=user,
            now=now,
        )
