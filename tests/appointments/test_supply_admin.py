"""The editor of hours with its preview, and the texts people are asked about."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import Holiday
from appointments import services
from appointments.models import Availability, ConsentText, VisitType
from appointments.preview import next_weeks
from core.db import identity, system
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def on_the_day(now: datetime) -> Iterator[None]:
    """Sunday, ten o'clock at the clinic."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def desk(client: Client, cast: Cast) -> Client:
    client.force_login(cast.desk)
    return client


def form_of(clinic: Surgery, ends: str) -> dict[str, Any]:
    """The editor's form with Monday's hours ending at another time."""
    rows = list(clinic.schedule.availabilities.order_by("iso_weekday"))
    form: dict[str, Any] = {
        "resource": clinic.doctor.id,
        "location": clinic.location.id,
        "visit_types": [clinic.visit_type.id],
        "name": "",
        "is_active": "on",
        "availabilities-TOTAL_FORMS": len(rows),
        "availabilities-INITIAL_FORMS": len(rows),
        "exceptions-TOTAL_FORMS": 0,
        "exceptions-INITIAL_FORMS": 0,
    }
    for number, row in enumerate(rows):
        form |= {
            f"availabilities-{number}-{name}": value
            for name, value in {
                "id": row.id,
                "schedule": clinic.schedule.id,
                "iso_weekday": row.iso_weekday,
                "starts": row.starts,
                "ends": ends if row.iso_weekday == 1 else row.ends,
                "slot_step_minutes": row.slot_step_minutes,
                "valid_from": row.valid_from,
            }.items()
        }
    return form


class TestNextWeeks:
    def test_fourteen_dates_with_their_starts(self, clinic: Surgery, now: datetime) -> None:
        days = next_weeks(clinic.schedule, now=now)
        assert [days[0].on, days[-1].on] == [date(2026, 11, 22), date(2026, 12, 5)]
        assert (days[0].spans, days[0].why_closed) == ([], "no hours")
        assert (days[1].on, days[1].spans) == (MONDAY, ["09:00–12:00"])  # noqa: RUF001
        assert days[1].starts == [("Clinic visit", 6, "09:00 to 11:30")]

    def test_closed_days_say_why(self, cast: Cast, clinic: Surgery, now: datetime) -> None:
        Holiday.objects.create(organization=cast.clinic, date=MONDAY, name="Holiday")
        clinic.schedule.exceptions.create(date=MONDAY + timedelta(days=1), kind="closed")
        days = next_weeks(clinic.schedule, now=now)
        assert [day.why_closed for day in days[:4]] == [
            "no hours",
            "holiday",
            "closed on this day",
            "",
        ]
        assert days[1].starts == days[2].starts == []

    def test_visits_outside_the_hours_are_counted(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        book(cast.anna_user, clinic.opening(9), now)
        book(cast.brigid.user, clinic.opening(11, 30), now)
        with identity(system("booking")):
            monday = next_weeks(clinic.schedule, now=now)[1]
            assert (monday.booked, monday.outside) == (2, 0)
            clinic.schedule.availabilities.filter(iso_weekday=1).update(ends="11:59")
            monday = next_weeks(clinic.schedule, now=now)[1]
        assert (monday.booked, monday.outside) == (2, 1)


class TestEditor:
    def address(self, clinic: Surgery) -> str:
        return reverse("admin:appointments_schedule_change", args=[clinic.schedule.pk])

    def ends(self) -> str:
        return str(Availability.objects.get(iso_weekday=1).ends)

    def test_a_preview_saves_nothing(self, desk: Client, clinic: Surgery) -> None:
        assert "12:00" in desk.get(self.address(clinic)).content.decode()
        shown = desk.post(
            self.address(clinic), {**form_of(clinic, "10:30"), "_preview": "1"}
        ).content.decode()
        assert "Clinic visit: 3 (09:00 to 10:00)" in shown
        assert "Nothing is saved yet" in shown
        assert self.ends() == "12:00:00"

    def test_what_was_looked_at_can_be_saved(self, desk: Client, clinic: Surgery) -> None:
        form = form_of(clinic, "10:30")
        context = desk.post(self.address(clinic), {**form, "_preview": "1"}).context
        kept: dict[str, Any] = {}
        for name, value in context["kept"]:
            kept.setdefault(name, []).append(value)
        assert desk.post(self.address(clinic), {**kept, "_save": "1"}).status_code == 302
        assert self.ends() == "10:30:00"

    def test_hours_that_never_fit_are_refused_in_the_preview(
        self, desk: Client, clinic: Surgery
    ) -> None:
        shown = desk.post(
            self.address(clinic), {**form_of(clinic, "09:20"), "_preview": "1"}, follow=True
        ).content.decode()
        assert "too short for a visit" in shown
        assert self.ends() == "12:00:00"


class TestConsentTexts:
    def publish(self, cast: Cast, text: str, now: datetime) -> ConsentText:
        return services.publish_consent(
            organization_id=cast.clinic.pk, code="photo", title="Photographs", text=text, now=now
        )

    def test_a_new_wording_retires_the_one_before(self, cast: Cast, now: datetime) -> None:
        first = self.publish(cast, "We may take photographs.", now)
        second = self.publish(cast, "We may take photographs of the skin.", now)
        first.refresh_from_db()
        assert (first.version, first.retired_at) == (1, now)
        assert (second.version, second.retired_at) == (2, None)
        services.retire_consent(text_id=second.id, now=now)
        services.retire_consent(text_id=second.id, now=now + timedelta(days=1))
        second.refresh_from_db()
        assert second.retired_at == now
        assert self.publish(cast, "Again.", now).version == 3

    def test_the_desk_writes_one(self, desk: Client, cast: Cast, now: datetime) -> None:
        address = reverse("admin:appointments_consenttext_add")
        form = {"organization": cast.clinic.pk, "code": "photo", "title": "Photos", "text": "We…"}
        for version in (1, 2):
            assert desk.post(address, form).status_code == 302
            made = ConsentText.objects.get(retired_at=None)
            assert (made.version, made.valid_from) == (version, now)
        page = reverse("admin:appointments_consenttext_change", args=[made.pk])
        desk.post(page, {**form, "text": "Another"})
        made.refresh_from_db()
        assert made.text == "We…"


def test_what_a_visit_asks_before_is_chosen_by_ticking(desk: Client, clinic: Surgery) -> None:
    address = reverse("admin:appointments_visittype_change", args=[clinic.visit_type.pk])
    form = desk.get(address).context["adminform"].form
    sent = {name: value for name, value in form.initial.items() if value is not None}
    sent |= {"checkin_sections": ["medicines", "consents"], "waitlist_open": "on"}
    sent |= {"needs-TOTAL_FORMS": 0, "needs-INITIAL_FORMS": 0}
    answer = desk.post(address, sent)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert VisitType.objects.get().checkin_sections == ["medicines", "consents"]
