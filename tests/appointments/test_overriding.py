"""Staff set booking rules aside: with a permission, for a reason, on the record."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, User
from accounts.roles import Capability, Role, roles_with
from appointments import services
from appointments.finding import openings_for
from appointments.models import Appointment, AppointmentHistory, Resource, ResourceClaim
from core.db import identity, system
from core.models import AuditEvent
from patients.viewer import staff_viewer
from tests.appointments.closings import close, seen, site
from tests.appointments.factories import MONDAY, Surgery, bearer, book, hours, surgery
from tests.appointments.test_race import at_once
from tests.cast import Cast, patient, staff
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WHY = "New back pain, seen between two visits."


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    """Two days of notice, thirty days ahead; one place more for overbooking."""
    made = surgery(cast.clinic, lead_time_minutes=2 * 24 * 60, horizon_days=30)
    Resource.objects.filter(id=made.doctor.id).update(overbook_lanes=1)
    made.doctor.refresh_from_db()
    return made


def override(
    actor: User, clinic: Surgery, opening: str, now: datetime, cast: Cast, **terms: Any
) -> Appointment:
    viewer = staff_viewer(user=actor, now=now)
    with identity(viewer.identity):
        return services.book(
            viewer=viewer,
            patient_id=terms.pop("patient", cast.anna).id,
            opening=opening,
            override=services.Override(**{"reason": WHY, **terms}),
            now=now,
        )


def by_staff(actor: User, cast: Cast, opening: str, now: datetime) -> Appointment:
    viewer = staff_viewer(user=actor, now=now)
    with identity(viewer.identity):
        return services.book(viewer=viewer, patient_id=cast.anna.id, opening=opening, now=now)


def history(visit: Appointment) -> tuple[list[str], str]:
    with identity(system("registration")):
        row = AppointmentHistory.objects.get(appointment=visit, version=1)
    return row.overrides, row.override_reason


def lane_of(visit: Appointment) -> int:
    with identity(system("registration")):
        return ResourceClaim.objects.get(held_for=visit.id, active=True).lane


def visits() -> int:
    with identity(system("registration")):
        return Appointment.objects.count()


# --- lead time and horizon ----------------------------------------------------------------------


@pytest.mark.parametrize("role", ["nurse", "clinician"])
def test_nurse_and_clinician_book_sooner_than_allowed_for_a_reason(
    cast: Cast, clinic: Surgery, now: datetime, role: str
) -> None:
    actor, opening = getattr(cast, role), clinic.opening(9)
    with pytest.raises(services.NotOffered) as refused:
        by_staff(actor, cast, opening, now)
    assert refused.value.extra == {"reason": "too-soon"}
    made = override(actor, clinic, opening, now, cast)
    assert history(made) == (["lead-time"], WHY)
    with identity(system("housekeeping")):
        (event,) = AuditEvent.objects.filter(operation="appointments.override")
    assert (event.actor_id, event.patient_id, event.fields) == (
        actor.pk, cast.anna.id, ["lead-time"],
    )  # fmt: skip


def test_both_sides_of_the_notice(cast: Cast, clinic: Surgery, now: datetime) -> None:
    """What needed nothing set aside says so, whatever was typed."""
    opening = clinic.opening(9)
    at_the_limit = clinic.at(9) - 2 * DAY
    late = override(cast.nurse, clinic, opening, at_the_limit + timedelta(seconds=1), cast)
    assert history(late) == (["lead-time"], WHY)
    in_time = override(cast.nurse, clinic, clinic.opening(9, 30), at_the_limit, cast)
    assert history(in_time) == ([], "")


def test_further_ahead_than_allowed(cast: Cast, clinic: Surgery, now: datetime) -> None:
    far = clinic.opening(9, on=MONDAY + 56 * DAY)
    with pytest.raises(services.NotOffered):
        by_staff(cast.nurse, cast, far, now)
    assert history(override(cast.nurse, clinic, far, now, cast)) == (["horizon"], WHY)


@pytest.mark.parametrize(
    ("hour", "minute", "days", "reason"),
    [(13, 0, 0, "no-such-time"), (9, 10, 0, "no-such-time"), (9, 0, -7, "past")],
)
def test_hours_and_the_past_are_never_set_aside(
    cast: Cast, clinic: Surgery, now: datetime, hour: int, minute: int, days: int, reason: str
) -> None:
    opening = clinic.opening(hour, minute, on=MONDAY + days * DAY)
    with pytest.raises(services.NotOffered) as refused:
        override(cast.nurse, clinic, opening, now, cast, overbook=True)
    assert refused.value.extra == {"reason": reason}
    assert visits() == 0


# --- permission and reason ----------------------------------------------------------------------


def test_the_capability_is_with_nurse_and_clinician() -> None:
    assert roles_with(Capability.OVERRIDE_BOOKING_RULES) == {Role.NURSE, Role.CLINICIAN}


def test_the_desk_may_not(cast: Cast, clinic: Surgery, now: datetime) -> None:
    with pytest.raises(services.OverrideNotPermitted):
        override(cast.desk, clinic, clinic.opening(9), now, cast)
    assert visits() == 0


def test_a_nurse_of_two_clinics_needs_the_role_where_the_visit_is(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    both = staff("petra", Role.NURSE, cast.other_clinic)
    Membership.objects.create(
        user=both, organization=cast.clinic, role=Role.FRONT_DESK, valid_from=now - DAY
    )
    with pytest.raises(services.OverrideNotPermitted):
        override(both, clinic, clinic.opening(9), now, cast)


def test_a_role_that_ended_permits_nothing(cast: Cast, clinic: Surgery, now: datetime) -> None:
    Membership.objects.create(
        user=cast.desk, organization=cast.clinic, role=Role.NURSE,
        valid_from=now - DAY, valid_until=now,
    )  # fmt: skip
    with pytest.raises(services.OverrideNotPermitted):
        override(cast.desk, clinic, clinic.opening(9), now, cast)


@pytest.mark.parametrize("who", ["anna_user", "dora"])
def test_she_and_her_caregiver_never_may(
    cast: Cast, clinic: Surgery, now: datetime, who: str
) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.OverrideNotPermitted):
        services.book(
            viewer=viewer,
            opening=clinic.opening(9),
            override=services.Override(reason=WHY),
            now=now,
        )


def test_her_application_cannot_ask_for_it(cast: Cast, client: Client, clinic: Surgery) -> None:
    with time_machine.travel(clinic.at(8), tick=False):
        answer = client.post(
            "/api/v1/patients/me/appointments",
            {"opening": clinic.opening(9), "override": {"reason": WHY, "overbook": True}},
            "application/json",
            headers={"Idempotency-Key": "one", **bearer(cast.anna_user)},
        )
    assert answer.status_code in (409, 422)
    assert visits() == 0


@pytest.mark.parametrize("reason", ["", "   ", "x" * 161])
def test_without_a_reason_nothing_is_set_aside(
    cast: Cast, clinic: Surgery, now: datetime, reason: str
) -> None:
    with pytest.raises(services.OverrideNeedsReason):
        override(cast.nurse, clinic, clinic.opening(9), now, cast, reason=reason)
    assert visits() == 0
    override(cast.nurse, clinic, clinic.opening(9), now, cast, reason="x" * 160)


# --- places for overbooking ---------------------------------------------------------------------


@pytest.fixture
def early(clinic: Surgery) -> datetime:
    """Days before, so that lead time is no matter."""
    return clinic.at(9) - 5 * DAY


def test_a_taken_time_has_one_place_more_for_those_who_may(
    cast: Cast, clinic: Surgery, early: datetime
) -> None:
    opening = clinic.opening(9)
    book(cast.brigid.user, opening, early)
    with pytest.raises(services.SlotTaken):
        override(cast.nurse, clinic, opening, early, cast)
    made = override(cast.nurse, clinic, opening, early, cast, overbook=True)
    assert (history(made), lane_of(made)) == ((["overbook"], WHY), 1)
    with identity(system("registration")):
        third = patient("Thea", "Dritte", MONDAY.replace(year=1970), "900009", cast.clinic)
    with pytest.raises(services.SlotTaken):
        override(cast.nurse, clinic, opening, early, cast, overbook=True, patient=third)


def test_the_usual_place_comes_first_and_is_no_overbooking(
    cast: Cast, clinic: Surgery, early: datetime
) -> None:
    made = override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)
    assert (history(made), lane_of(made)) == (([], ""), 0)


def test_her_own_other_visit_stays_in_the_way(cast: Cast, clinic: Surgery, early: datetime) -> None:
    book(cast.anna_user, clinic.opening(9), early)
    with pytest.raises(services.PatientBusy):
        override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)


def test_nobody_else_is_offered_the_place(cast: Cast, clinic: Surgery, early: datetime) -> None:
    """It is neither found, nor held, nor booked, nor moved into without an override."""
    opening = clinic.opening(9)
    mine = book(cast.anna_user, clinic.opening(11), early)
    book(cast.brigid.user, opening, early)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        found = openings_for(
            viewer, patient_id=cast.anna.id, visit_type_id=clinic.visit_type.id,
            first=MONDAY, last=MONDAY, now=early, limit=50,
        )  # fmt: skip
        assert clinic.at(9) not in [one.opening.starts_at for one in found.items]
        for attempt in (
            lambda: services.hold(viewer=viewer, opening=opening, now=early),
            lambda: services.book(viewer=viewer, opening=opening, now=early),
            lambda: services.reschedule(
                viewer=viewer, appointment_id=mine.id, opening=opening, now=early
            ),
        ):
            with pytest.raises(services.SlotTaken):
                attempt()
    with pytest.raises(services.SlotTaken):
        by_staff(cast.nurse, cast, opening, early)


def test_a_room_may_be_overbooked_where_it_has_places_for_it(cast: Cast, early: datetime) -> None:
    clinic = surgery(cast.clinic, needs=("room",))
    room = services.create_resource(
        organization=cast.clinic, kind="room", name="Room 1", location=clinic.location
    )
    other = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    beside = hours(other, clinic.location, [clinic.visit_type])
    book(cast.brigid.user, clinic.opening(9), early)
    same_time = clinic.opening_of(beside, clinic.at(9))
    with pytest.raises(services.SlotTaken):
        override(cast.nurse, clinic, same_time, early, cast, overbook=True)
    Resource.objects.filter(id=room.id).update(overbook_lanes=1)
    made = override(cast.nurse, clinic, same_time, early, cast, overbook=True)
    assert history(made) == (["overbook"], WHY)


def blocked(cast: Cast, clinic: Surgery, now: datetime) -> None:
    with identity(staff_viewer(user=cast.desk, now=now).identity):
        services.block_time(
            actor=cast.desk,
            resource_id=clinic.doctor.id,
            starts_at=clinic.at(9),
            ends_at=clinic.at(10),
            reason="Training",
            now=now,
        )


def test_a_block_covers_every_place(cast: Cast, clinic: Surgery, early: datetime) -> None:
    blocked(cast, clinic, early)
    with pytest.raises(services.SlotTaken):
        override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)


def test_a_block_covers_places_that_come_later(
    cast: Cast, clinic: Surgery, early: datetime
) -> None:
    blocked(cast, clinic, early)
    clinic.doctor.lanes, clinic.doctor.overbook_lanes = 2, 3
    services.save_resource(clinic.doctor, now=early)
    with pytest.raises(services.SlotTaken):
        override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)
    with identity(system("registration")):
        assert ResourceClaim.objects.filter(kind="block", active=True).count() == 5


def test_a_closed_site_is_closed_for_overbooking_too(
    cast: Cast, clinic: Surgery, early: datetime
) -> None:
    opening = clinic.opening(9)
    book(cast.brigid.user, opening, early)
    made = override(cast.nurse, clinic, opening, early, cast, overbook=True)
    assert made.id in seen(cast.desk, site(clinic), early).seen
    impact = seen(cast.desk, site(clinic), early).seen
    close(
        cast.desk,
        site(clinic),
        {visit: services.Decision(version, "cancel") for visit, version in impact.items()},
        early,
    )
    with pytest.raises((services.SlotTaken, services.NotOffered)):
        override(cast.nurse, clinic, opening, early, cast, overbook=True)


def test_a_place_with_a_visit_is_not_taken_away(
    cast: Cast, clinic: Surgery, early: datetime
) -> None:
    far = clinic.at(9) + 3650 * DAY
    with time_machine.travel(early):
        book(cast.brigid.user, clinic.opening(9), early)
        override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)
    # The database asks its own clock: the visit has to be to come for it, too.
    with identity(system("registration")):
        ResourceClaim.objects.filter(active=True).update(during=(far, far + 30 * MINUTE))
    clinic.doctor.overbook_lanes = 0
    with pytest.raises(services.LanesInUse):
        services.save_resource(clinic.doctor, now=early)
    with pytest.raises(IntegrityError, match="place that would be gone"), transaction.atomic():
        Resource.objects.filter(id=clinic.doctor.id).update(overbook_lanes=0)
    with identity(system("registration")):
        ResourceClaim.objects.filter(active=True, lane=1).update(active=False, ended_at=early)
    services.save_resource(clinic.doctor, now=early)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_last_place_has_one_winner(cast: Cast, clinic: Surgery, early: datetime) -> None:
    opening = clinic.opening(9)
    book(cast.brigid.user, opening, early)
    with identity(system("registration")):
        people = [
            patient(f"P{n}", "Viele", MONDAY.replace(year=1960), f"77{n:04}", cast.clinic)
            for n in range(6)
        ]
    results = at_once(
        [
            lambda who=who: override(
                cast.nurse, clinic, opening, early, cast, overbook=True, patient=who
            )
            for who in people
        ]
    )
    names = Counter(type(result).__name__ for result in results)
    assert names == {"Appointment": 1, "SlotTaken": 5}


# --- constraints --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "reason", "constraint"),
    [
        (["overbook"], "", "appointment_history_override_has_a_reason"),
        ([], WHY, "appointment_history_override_has_a_reason"),
        (["hours"], WHY, "appointment_history_overrides"),
    ],
)
def test_history_has_a_rule_with_a_reason_or_neither(
    cast: Cast, clinic: Surgery, early: datetime, overrides: list[str], reason: str, constraint: str
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), early)
    with (
        identity(system("registration")),
        pytest.raises(IntegrityError, match=f'"{constraint}"'),
        transaction.atomic(),
    ):
        AppointmentHistory.objects.create(
            appointment=visit, patient=cast.anna, version=9, action="book", status="booked",
            starts_at=visit.starts_at, ends_at=visit.ends_at, at=early, via="staff",
            overrides=overrides, override_reason=reason,
        )  # fmt: skip


def test_at_most_ten_places_for_overbooking(clinic: Surgery) -> None:
    found = Resource.objects.filter(id=clinic.doctor.id)
    found.update(overbook_lanes=10)
    with pytest.raises(IntegrityError, match='"resource_overbook_lanes"'), transaction.atomic():
        found.update(overbook_lanes=11)


# --- the staff site -----------------------------------------------------------------------------

ADD = "admin:appointments_appointment_add"


def _form(cast: Cast, clinic: Surgery, **more: str) -> dict[str, str]:
    return {
        "patient": str(cast.anna.id),
        "schedule": str(clinic.schedule.id),
        "visit_type": str(clinic.visit_type.id),
        "local_date": "2026-11-23",
        "local_time": "09:00",
        **more,
    }


def _post(user: User, cast: Cast, clinic: Surgery, **more: str) -> str:
    browser = Client()
    browser.force_login(user)
    with time_machine.travel(clinic.at(8), tick=False):
        answer = browser.post(reverse(ADD), _form(cast, clinic, **more), follow=True)
    return answer.content.decode()


def test_the_form_has_it_for_those_who_may(cast: Cast, clinic: Surgery) -> None:
    for user, offered in ((cast.nurse, True), (cast.clinician, True), (cast.desk, False)):
        browser = Client()
        browser.force_login(user)
        text = browser.get(reverse(ADD)).content.decode()
        assert ("Why a rule is set aside" in text) is offered


def test_a_nurse_books_over_the_rule_and_the_visit_says_so(cast: Cast, clinic: Surgery) -> None:
    refused = _post(cast.nurse, cast, clinic)
    assert visits() == 0
    assert "sooner than this kind of visit allows" in refused
    assert "Why a rule is set aside" in refused
    _post(cast.nurse, cast, clinic, override_reason=WHY)
    with identity(system("registration")):
        made = Appointment.objects.get()
    browser = Client()
    browser.force_login(cast.desk)
    shown = browser.get(
        reverse("admin:appointments_appointment_change", args=[made.pk])
    ).content.decode()
    assert f"Sooner than usual: {WHY}" in shown


def test_the_desk_cannot_send_what_it_is_not_shown(cast: Cast, clinic: Surgery) -> None:
    text = _post(cast.desk, cast, clinic, override_reason=WHY, overbook="on")
    assert "Nurses and clinicians of this clinic may set this rule aside." in text
    assert visits() == 0


def test_the_calendar_marks_it(cast: Cast, clinic: Surgery, early: datetime) -> None:
    book(cast.brigid.user, clinic.opening(9), early)
    override(cast.nurse, clinic, clinic.opening(9), early, cast, overbook=True)
    browser = Client()
    browser.force_login(cast.desk)
    text = browser.get(
        reverse("admin:appointments_appointment_calendar"),
        {"on": "2026-11-23", "location": str(clinic.location.id)},
    ).content.decode()
    assert text.count("· overbooked</a>") == 1
    assert text.count("width:50.00%") >= 2
