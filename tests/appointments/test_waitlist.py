"""The tick: whom it asks about what, when, and whom it passes over."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from appointments import services
from appointments.models import VisitType, WaitlistEntry, WaitlistOffer
from appointments.services import offering
from appointments.waiting import Window
from appointments.waitlists import entries_for, line_of, offers_for
from core.db import identity, system
from core.models import Change
from notifications.models import QuietHours
from patients.models import CaregiverGrant, ContactPause, Enrolment
from tests.appointments.factories import MONDAY, Surgery, book, cancel, surgery
from tests.appointments.test_holds import hold
from tests.appointments.waitlist import (
    A_MOMENT,
    at,
    change_patient,
    decline,
    entry_now,
    entry_of,
    hold_of,
    leave,
    notices,
    offers,
    taken_at,
    tick,
    wait,
    wait_for,
)
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = at(9)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def test_what_is_free_is_kept_for_who_waits(cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    assert tick(now).offered == 1
    (offer,) = offers()
    assert (offer.entry_id, offer.patient_id, offer.status) == (entry.id, cast.anna.id, "open")
    assert (offer.hold.starts_at, offer.hold.purpose) == (clinic.at(9), "offer")
    assert (offer.offered_at, offer.answer_until) == (now, now + 2 * HOUR)
    assert offer.hold.expires_at == offer.answer_until
    assert offer.rank == 1
    assert offer.reason["text"] == (
        "urgency routine; waiting since 2026-11-22 09:00 UTC; number 1 of 1 it fitted"
    )
    assert taken_at(clinic, clinic.at(9), now) == ["hold"]
    with pytest.raises(services.SlotTaken):
        book(cast.brigid.user, clinic.opening(9), now)


def test_ticking_again_changes_nothing(cast: Cast, clinic: Surgery, now: datetime) -> None:
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    again = tick(now + HOUR)
    assert (again.offered, again.expired, again.ended) == (0, 0, 0)
    assert len(offers()) == 1


def test_nothing_fits_nothing_is_offered(cast: Cast, clinic: Surgery, now: datetime) -> None:
    book(cast.brigid.user, clinic.opening(9), now)
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    assert tick(now).offered == 0
    assert entry_now(entry).passed_over == ""


def test_the_cancelled_time_goes_to_who_waits_longest_then_to_the_next(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    carla = Enrolment(patient=cast.carla, organization=cast.clinic, starts_at=now - DAY)
    with identity(system("registration")):
        carla.save(force_insert=True)
    visit = book(cast.carla.user, clinic.opening(9), now)
    second = wait(cast.brigid.user, clinic, now, windows=[NINE])
    first = wait(cast.anna_user, clinic, now - HOUR, windows=[NINE])
    assert tick(now).offered == 0
    cancel(cast.carla.user, visit.id, now)
    assert tick(now).offered == 1
    (asked,) = offers()
    assert (asked.entry_id, asked.rank, asked.reason["others_matched"]) == (first.id, 1, 1)
    decline(cast.anna_user, asked, now + HOUR)
    assert tick(now + HOUR).offered == 1
    assert [offer.entry_id for offer in offers(status="open")] == [second.id]
    again = offers(status="open")[0]
    assert (again.rank, again.reason["passed_over"]) == (2, {"asked-before": 1})
    assert "1 passed over: asked-before" in again.reason["text"]
    assert str(first.id) not in str(again.reason)
    assert entry_now(first).passed_over == "asked-before"
    # Nobody is left: the time is free for everybody.
    decline(cast.brigid.user, again, now + 2 * HOUR)
    assert tick(now + 2 * HOUR).offered == 0
    book(cast.carla.user, clinic.opening(9), now + 2 * HOUR)


def test_an_offer_is_over_at_its_instant_and_goes_on(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    first = wait(cast.anna_user, clinic, now - HOUR, windows=[NINE])
    second = wait(cast.brigid.user, clinic, now, windows=[NINE])
    tick(now)
    end = offers()[0].answer_until
    assert tick(end - A_MOMENT).expired == 0
    outcome = tick(end)
    assert (outcome.expired, outcome.offered) == (1, 1)
    assert [(o.entry_id, o.status, o.settled_at) for o in offers()] == [
        (first.id, "expired", end),
        (second.id, "open", None),
    ]
    assert hold_of(offers()[0]).ending == "released"
    assert entry_now(first).status == "active"


def test_urgent_goes_first_unless_the_clinic_orders_by_waiting(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now - HOUR, windows=[NINE])
    wait_for(cast.desk, cast.brigid.id, clinic, now, windows=[NINE], urgency_reason="pain")
    tick(now)
    (offer,) = offers()
    assert (offer.patient_id, offer.reason["urgency"]) == (cast.brigid.id, "urgent")
    VisitType.objects.filter(id=clinic.visit_type.id).update(waitlist_order="waiting")
    decline(cast.brigid.user, offer, now)
    ten = at(10)
    leave(cast.anna_user, entry_of(cast.anna), now)
    wait(cast.anna_user, clinic, now - HOUR, windows=[ten])
    with identity(system("booking")):
        WaitlistEntry.objects.filter(patient=cast.brigid).update(status="active")
        entry = WaitlistEntry.objects.get(patient=cast.brigid)
        entry.windows.create(
            first_on=ten.first_on,
            last_on=ten.last_on,
            time_from=ten.time_from,
            time_until=ten.time_until,
        )
    tick(now)
    assert [o.patient_id for o in offers(status="open")] == [cast.anna.id]


def test_the_answer_time_is_the_clinics(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, waitlist_answer_minutes=45)
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    assert offers()[0].answer_until == now + timedelta(minutes=45)


def test_at_night_the_answer_time_ends_after_her_morning(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    QuietHours.objects.create(user=cast.anna_user, starts=time(20), ends=time(10))
    window = Window(first_on=MONDAY + DAY, last_on=MONDAY + DAY)
    wait(cast.anna_user, clinic, now, windows=[window])
    tick(clinic.at(3))
    (offer,) = offers()
    assert offer.answer_until == clinic.at(12)
    assert {row.send_after for row in notices()} == {clinic.at(10)}
    assert {row.expires_at for row in notices()} == {clinic.at(12)}


def test_too_near_for_the_morning_somebody_awake_is_asked(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    """Nine o'clock, an hour's notice, at four in the morning in Berlin and evening in Phoenix."""
    hers = wait(cast.anna_user, clinic, now - HOUR, windows=[NINE], minimum_notice=HOUR)
    assert cast.brigid.user is not None
    cast.brigid.user.zone = "America/Phoenix"
    cast.brigid.user.save(update_fields=["zone"])
    other = wait(cast.brigid.user, clinic, now, windows=[NINE], minimum_notice=HOUR)
    night = clinic.at(4)
    tick(night)
    (offer,) = offers()
    assert (offer.entry_id, offer.rank) == (other.id, 2)
    assert offer.reason["passed_over"] == {"too-near": 1}
    assert (entry_now(hers).passed_over, entry_now(hers).passed_over_at) == ("too-near", night)


def test_no_offer_outlives_the_cutoff_of_her_own_visit(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, cancel_cutoff_minutes=24 * 60)
    visit = book(cast.anna_user, clinic.opening(11), now)
    assert visit.starts_at - DAY == now + HOUR
    wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    tick(now)
    assert offers()[0].answer_until == now + HOUR


@pytest.mark.parametrize(("minutes", "asked"), [(30, True), (29, False)])
def test_she_is_not_asked_when_the_cutoff_is_near(
    cast: Cast, now: datetime, minutes: int, asked: bool
) -> None:
    clinic = surgery(cast.clinic, cancel_cutoff_minutes=24 * 60)
    visit = book(cast.anna_user, clinic.opening(11), now)
    wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    assert tick(now + HOUR - timedelta(minutes=minutes)).offered == int(asked)


def test_only_earlier_times_than_hers_are_offered(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit)
    assert tick(now).offered == 0
    with identity(viewer_of(cast.anna_user).identity):
        services.reschedule(
            viewer=viewer_of(cast.anna_user),
            appointment_id=visit.id,
            opening=clinic.opening(9, 30),
            now=now,
        )
    tick(now)
    assert [(o.entry_id, o.hold.starts_at) for o in offers()] == [(entry.id, clinic.at(9))]


def test_her_other_visits_and_kept_times_are_not_in_the_way_of_herself(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    other = surgery(cast.clinic)
    book(cast.anna_user, other.opening(9), now)
    hold(cast.anna_user, other.opening(9, 30), now)
    entry = wait(cast.anna_user, clinic, now, windows=[at(9), at(9, 30)])
    assert tick(now).offered == 0
    assert entry_now(entry).passed_over == "other-visit"
    assert tick(now + HOUR).offered == 1
    assert offers()[0].hold.starts_at == clinic.at(9, 30)


def test_an_earlier_time_may_overlap_the_visit_that_it_replaces(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, duration_minutes=60)
    visit = book(cast.anna_user, clinic.opening(10), now)
    other = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    from tests.appointments.factories import hours

    hours(other, clinic.location, [clinic.visit_type])
    wait(cast.anna_user, clinic, now, visit=visit, windows=[at(9, 30)])
    assert tick(now).offered == 1


def test_two_offers_to_one_person_never_overlap(cast: Cast, clinic: Surgery, now: datetime) -> None:
    other = surgery(cast.clinic)
    wait(cast.anna_user, clinic, now, windows=[NINE])
    wait(cast.anna_user, other, now, windows=[NINE, at(9, 30)])
    tick(now)
    starts = sorted(offer.hold.starts_at for offer in offers(status="open"))
    assert starts == [clinic.at(9), clinic.at(9, 30)] or starts == [clinic.at(9)]


def test_who_left_three_offers_unanswered_rests_for_a_day(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    window = Window(first_on=date(2026, 11, 30))
    entry = wait(cast.anna_user, clinic, now, windows=[window])
    at_time = now
    for number in range(3):
        assert tick(at_time).offered == 1, number
        at_time = offers(status="open")[0].answer_until
    assert tick(at_time).offered == 0
    assert entry_now(entry).passed_over == "did-not-answer"
    assert tick(at_time + DAY - A_MOMENT).offered == 0
    assert tick(at_time + DAY).offered == 1
    assert len({offer.hold.starts_at for offer in offers()}) == 4


def test_the_paused_are_passed_over_and_asked_again_later(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    with identity(system("registration")):
        ContactPause.objects.create(
            patient=cast.anna, reason="holiday", starts_at=now, ends_at=now + HOUR
        )
    assert tick(now).offered == 0
    assert (entry_now(entry).passed_over, entry_now(entry).status) == ("paused", "active")
    assert tick(now + HOUR).offered == 1
    assert entry_now(entry).passed_over == ""


def test_a_closed_record_ends_the_wait(cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    change_patient(cast.anna, is_active=False)
    assert tick(now).ended == 1
    after = entry_now(entry)
    assert (after.status, after.ending, after.ended_by_id) == ("expired", "inactive", None)
    assert offers()[0].status == "withdrawn"
    assert taken_at(clinic, clinic.at(9), now) == []


def test_death_ends_the_wait(cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now - HOUR, windows=[NINE])
    next_in_line = wait(cast.brigid.user, clinic, now, windows=[NINE])
    tick(now)
    change_patient(cast.anna, deceased_at=now)
    outcome = tick(now)
    assert (outcome.ended, outcome.offered) == (1, 1)
    assert entry_now(entry).ending == "deceased"
    assert [o.entry_id for o in offers(status="open")] == [next_in_line.id]


def test_who_is_looked_after_elsewhere_waits_no_longer(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    with identity(system("registration")):
        Enrolment.objects.filter(patient=cast.anna).update(ends_at=now)
    outcome = tick(now)
    assert (outcome.ended, outcome.offered) == (1, 0)
    assert entry_now(entry).ending == "not-here"


def test_nobody_to_ask_is_said_and_a_caregiver_who_may_book_is_enough(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    change_patient(cast.anna, user=None)
    entry = wait_for(cast.desk, cast.anna.id, clinic, now, windows=[NINE])
    assert tick(now).offered == 0
    assert entry_now(entry).passed_over == "nobody-to-ask"
    with identity(system("registration")):
        CaregiverGrant.objects.filter(patient=cast.anna).update(
            scopes=["appointments.read", "appointments.write"]
        )
    assert tick(now).offered == 1
    assert {row.recipient_id for row in notices()} == {cast.dora.pk}


def test_the_line_takes_the_same_reads_however_long(
    cast: Cast, clinic: Surgery, now: datetime, django_assert_num_queries: Any
) -> None:
    def read() -> None:
        with identity(system("booking")):
            line_of(clinic.visit_type, now=now)

    wait(cast.anna_user, clinic, now, windows=[NINE], locations=[clinic.location.id])
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        read()
    wait(cast.brigid.user, clinic, now, windows=[NINE, at(10)], locations=[clinic.location.id])
    with CaptureQueriesContext(connection) as two:
        read()
    assert len(one) == len(two)


def test_who_was_offered_what_is_in_the_feed_and_told_discreetly(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    with identity(system("registration")):
        CaregiverGrant.objects.filter(patient=cast.anna).update(scopes=["appointments.read"])
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    (offer,) = offers()
    with identity(system("booking")):
        assert Change.objects.filter(resource="WaitlistOffer", resource_id=offer.id).count() == 1
    rows = notices()
    assert {(row.recipient_id, row.channel) for row in rows} == {
        (user.pk, channel) for user in (cast.anna_user, cast.dora) for channel in ("inbox", "email")
    }
    assert {(row.state, row.subject_id, row.context == {}) for row in rows} == {
        ("planned", offer.id, True)
    }
    assert {row.expires_at for row in rows} == {offer.answer_until}
    decline(cast.anna_user, offer, now)
    assert {(row.state, row.reason) for row in notices()} == {("skipped", "no-longer-applies")}


def test_a_notice_is_not_sent_when_the_offer_is_over(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    from appointments.offer_notices import recheck_offer_notice

    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    row = notices()[0]
    (offer,) = offers()
    with identity(system("notifications")):
        assert recheck_offer_notice(row, offer.answer_until - A_MOMENT) is None
        skipped = recheck_offer_notice(row, offer.answer_until)
        assert skipped is not None
        assert skipped.reason == "no-longer-applies"
    with identity(system("booking")):
        WaitlistOffer.objects.update(status="withdrawn", settled_at=now)
    with identity(system("notifications")):
        assert recheck_offer_notice(row, now) is not None


def test_who_is_looked_after_elsewhere_is_not_in_the_line(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    """Even when her entry could not be ended, because somebody had it locked."""
    wait(cast.anna_user, clinic, now, windows=[NINE])
    with identity(system("registration")):
        assert len(line_of(clinic.visit_type, now=now)) == 1
        Enrolment.objects.filter(patient=cast.anna).update(ends_at=now)
        assert line_of(clinic.visit_type, now=now) == []


def test_what_changed_since_the_plan_stops_the_offer(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    wait(cast.anna_user, clinic, now, visit=visit, windows=[at(9, 30)])
    (choice,), supplies = offering._plan(clinic.visit_type, now=now)

    def offered() -> bool:
        return offering._offer(choice, supplies[clinic.schedule.id], now=now)

    with identity(system("registration")):
        ContactPause.objects.create(patient=cast.anna, reason="grief", starts_at=now)
    assert not offered()
    with identity(system("registration")):
        ContactPause.objects.update(starts_at=now - DAY, ends_at=now)
    viewer = viewer_of(cast.anna_user)
    for hour, expected in ((9, False), (11, True)):
        with identity(viewer.identity):
            services.reschedule(
                viewer=viewer, appointment_id=visit.id, opening=clinic.opening(hour), now=now
            )
        assert offered() is expected
    assert not offered(), "she has an offer"


def test_the_selectors_keep_strangers_out_without_row_security(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    for viewer, seen in ((viewer_of(cast.anna_user), 1), (viewer_of(cast.brigid.user), 0)):
        with identity(system("booking")):
            assert offers_for(viewer).count() == entries_for(viewer).count() == seen
