"""What stops a closing, who may close, and what the database holds against it."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from appointments import services
from appointments.impact import Closing
from appointments.models import (
    AppointmentHistory,
    Block,
    SiteClosure,
    Ticket,
)
from core.db import identity, system
from core.errors import Forbidden, InvalidInput, NotFound
from core.models import AuditEvent
from patients.viewer import staff_viewer
from tests.appointments.closings import (
    DAY,
    TUESDAY,
    cancelled,
    close,
    doctor,
    morning,
    moved,
    site,
    tickets,
)
from tests.appointments.factories import MONDAY, Surgery, book, cancel, surgery
from tests.appointments.test_holds import hold, starts
from tests.appointments.waitlist import visit_now
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


# --- refusals -------------------------------------------------------------------------------------


def test_a_visit_that_is_new_or_changed_or_gone_stops_it(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.anna_user, clinic.opening(9, 30), now)
    three = book(cast.anna_user, clinic.opening(10), now)
    saw = cancelled(one, two, three)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.confirm(viewer=viewer, appointment_id=one.id, now=now)
    cancel(cast.anna_user, two.id, now)
    four = book(cast.brigid.user, clinic.opening(11), now)
    for closing in (morning(clinic), site(clinic)):
        with pytest.raises(services.ClosingChanged) as refusal:
            close(cast.desk, closing, saw, now)
        assert refusal.value.code == "closing-changed"
        assert refusal.value.extra == {
            "new": [four.id],
            "changed": [one.id],
            "gone": [two.id],
            "lost": [],
        }
    assert visit_now(three).status == "booked"
    assert not Block.objects.exists()
    assert not SiteClosure.objects.exists()


def test_a_chosen_time_that_is_gone_stops_it(cast: Cast, clinic: Surgery, now: datetime) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.anna_user, clinic.opening(10), now)
    book(cast.brigid.user, clinic.opening(9, on=TUESDAY), now)
    with pytest.raises(services.ClosingChanged) as refusal:
        close(
            cast.desk,
            site(clinic),
            cancelled(two) | moved(one, clinic.opening(9, on=TUESDAY)),
            now,
        )
    assert refusal.value.extra["lost"] == [one.id]
    assert visit_now(two).status == "booked"
    assert tickets(cast.anna) == []
    assert starts(cast.brigid.user, clinic, now) != []


@pytest.mark.parametrize("whole_site", [True, False])
def test_nobody_is_moved_into_what_is_closed(
    cast: Cast, clinic: Surgery, now: datetime, whole_site: bool
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    closing = site(clinic) if whole_site else morning(clinic)
    with pytest.raises((services.ClosingChanged, InvalidInput)):
        close(cast.desk, closing, moved(visit, clinic.opening(11)), now)
    assert visit_now(visit).starts_at == clinic.at(9)


def test_only_the_desk_the_nurse_and_the_clinician_of_this_clinic_close(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    for user, refusal in (
        (cast.other_nurse, NotFound),
        (cast.lab, Forbidden),
    ):
        for closing in (morning(clinic), site(clinic)):
            with pytest.raises(refusal):
                close(user, closing, {}, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(NotFound):
        services.close(viewer=viewer, closing=site(clinic), reason="Mine", decisions={}, now=now)
    for n, user in enumerate((cast.desk, cast.nurse, cast.clinician)):
        close(user, site(clinic, MONDAY + n * DAY), {}, now)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reason": " "}, "required"),
        ({"cancellation": "pat"}, "invalid_choice"),
    ],
)
def test_a_closing_has_a_reason_of_the_clinic(
    cast: Cast, clinic: Surgery, now: datetime, change: dict[str, str], code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        close(cast.desk, site(clinic), {}, now, **change)
    assert refusal.value.errors[0].code == code


@pytest.mark.parametrize(
    ("starts_in", "ends_in", "code"),
    [
        (timedelta(0), timedelta(0), "before-start"),
        (-2 * DAY, timedelta(0), "past"),
        (-2 * DAY, A_MINUTE, ""),
        (timedelta(0), 366 * DAY, ""),
        (timedelta(0), 366 * DAY + A_MINUTE, "too-long"),
    ],
)
def test_a_span_has_its_bounds(
    cast: Cast,
    clinic: Surgery,
    now: datetime,
    starts_in: timedelta,
    ends_in: timedelta,
    code: str,
) -> None:
    closing = doctor(clinic, now + starts_in, now + ends_in)
    if not code:
        close(cast.desk, closing, {}, now)
        return
    with pytest.raises(InvalidInput) as refusal:
        close(cast.desk, closing, {}, now)
    assert refusal.value.errors[0].code == code


def test_it_is_audited_with_the_visits_of_each_patient(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    done = close(cast.desk, site(clinic), cancelled(one), now)
    assert done.closure is not None
    with identity(system("housekeeping")):
        found = {
            event.operation: event
            for event in AuditEvent.objects.filter(operation__startswith="appointments.closing")
        }
    assert found["appointments.closing.close"].resource_ids == [done.closure.id]
    assert found["appointments.closing.visit"].patient_id == cast.anna.id
    assert found["appointments.closing.visit"].actor_id == cast.desk.id
    with identity(system("booking")):
        row = AppointmentHistory.objects.get(appointment=one, action="cancel")
    assert (row.actor_id, row.via) == (cast.desk.id, "staff")


# --- the database ---------------------------------------------------------------------------------


def in_sql(change: str, *values: object) -> str:
    """Run a statement as background work does; return the constraint that refuses it."""
    try:
        with identity(system("booking")), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change, values)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except IntegrityError as error:
        return str(error.__cause__.diag.constraint_name)  # type: ignore[union-attr]
    return ""


def test_the_database_keeps_visits_out_of_a_closed_site(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9, on=TUESDAY), now)
    held = hold(cast.anna_user, clinic.opening(10, on=TUESDAY), now)
    close(cast.desk, doctor(clinic, clinic.at(10), clinic.at(11)), {}, now)
    close(
        cast.desk,
        Closing(clinic.at(10), clinic.at(11), location_id=clinic.location.id),
        {},
        now,
    )
    for table, row in (("appointment", visit.id), ("hold", held.id)):
        move = f"UPDATE appointments_{table} SET starts_at = %s, ends_at = %s WHERE id = %s"
        assert in_sql(move, clinic.at(10, 30), clinic.at(11), row) == "site_is_open"
        assert in_sql(move, clinic.at(10, 59), clinic.at(11, 30), row) == "site_is_open"
        assert in_sql(move, clinic.at(11), clinic.at(11, 30), row) == ""
        assert in_sql(move, clinic.at(9), clinic.at(10), row) == ""


def test_the_database_lets_nobody_close_over_a_visit(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    book(cast.anna_user, clinic.opening(9), now)
    made = (
        "INSERT INTO appointments_siteclosure"
        " (id, location_id, starts_at, ends_at, reason, made_at, made_by_id)"
        " VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s)"
    )
    place, by = clinic.location.id, cast.desk.id

    def closes(start: datetime, end: datetime, reason: str = "Storm") -> str:
        return in_sql(made, place, start, end, reason, now, by)

    assert closes(clinic.at(8), clinic.at(9, 1)) == "site_closure_is_empty"
    assert closes(clinic.at(9, 29), clinic.at(10)) == "site_closure_is_empty"
    assert closes(clinic.at(8), clinic.at(9)) == ""
    assert closes(clinic.at(9, 30), clinic.at(10)) == ""
    assert closes(clinic.at(11), clinic.at(11)) == "site_closure_start_before_end"
    assert closes(clinic.at(11), clinic.at(12), "") == "site_closure_has_a_reason"
    lifted = "UPDATE appointments_siteclosure SET lifted_at = %s"
    assert in_sql(lifted, now) == "site_closure_lifted_by_somebody"
    assert in_sql("UPDATE appointments_siteclosure SET lifted_by_id = %s", by) == (
        "site_closure_lifted_by_somebody"
    )


def test_a_ticket_has_a_priority_of_fhir(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    viewer = staff_viewer(user=cast.desk, now=now)
    with (
        identity(viewer.identity),
        pytest.raises(IntegrityError, match="ticket_priority"),
        transaction.atomic(),
    ):
        Ticket.objects.create(
            patient=cast.anna,
            visit_type=visit.visit_type,
            ordered_at=now,
            ordered_by=cast.desk,
            earliest=MONDAY,
            latest=MONDAY,
            priority="soon",
        )
