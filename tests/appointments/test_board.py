"""The check-in board, what staff read of an eCheck-in, and the figures of the first page."""

from datetime import datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from appointments import services
from appointments.board import Stage, board
from appointments.models import Appointment
from core.db import identity, system
from core.models import AuditEvent
from patients.viewer import staff_viewer
from portal.dashboard import due_work
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.appointments.test_echeckin import GIVEN
from tests.cast import Cast, SignIn
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db
BOARD = "admin:appointments_appointment_board"
SECOND = timedelta(seconds=1)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, checkin_sections=list(GIVEN), checkin_opens_hours=72)


@pytest.fixture
def visit(cast: Cast, clinic: Surgery, now: datetime) -> Appointment:
    return book(cast.anna_user, clinic.opening(9), now)


def read(cast: Cast, clinic: Surgery, at: datetime, who: str = "desk") -> list:
    viewer = staff_viewer(user=getattr(cast, who), now=at)
    with identity(viewer.identity):
        return board(viewer, location=clinic.location, now=at)


def become(cast: Cast, visit: Appointment, status: str, at: datetime) -> None:
    viewer = staff_viewer(user=cast.desk, now=at)
    with identity(viewer.identity):
        services.change_status(viewer=viewer, appointment_id=visit.id, status=status, now=at)


def test_a_visit_walks_through_the_stages(cast: Cast, clinic: Surgery, visit: Appointment) -> None:
    (row,) = read(cast, clinic, clinic.at(8))
    assert (row.stage, row.late, row.waiting) == (Stage.EXPECTED, False, None)
    assert not read(cast, clinic, clinic.at(9, 10) - SECOND)[0].late
    assert read(cast, clinic, clinic.at(9, 10))[0].late
    become(cast, visit, "arrived", clinic.at(9, 12))
    (row,) = read(cast, clinic, clinic.at(9, 20))
    assert (row.stage, row.late, row.waiting) == (Stage.HERE, False, timedelta(minutes=8))
    viewer = staff_viewer(user=cast.nurse, now=clinic.at(9, 21))
    with identity(viewer.identity):
        services.start(viewer=viewer, appointment_id=visit.id, now=clinic.at(9, 21))
    (row,) = read(cast, clinic, clinic.at(9, 25))
    assert (row.stage, row.waiting) == (Stage.WITH_STAFF, None)
    become(cast, visit, "fulfilled", clinic.at(9, 40))
    assert read(cast, clinic, clinic.at(9, 41))[0].stage == Stage.GONE


def test_a_board_is_one_date_of_one_place(
    cast: Cast, clinic: Surgery, visit: Appointment, now: datetime
) -> None:
    book(cast.brigid.user, clinic.opening(9, on=MONDAY + timedelta(days=1)), now)
    elsewhere = surgery(cast.clinic)
    assert read(cast, elsewhere, clinic.at(8)) == []
    # 23:30 of Sunday at the clinic, though already Monday in the east.
    assert read(cast, clinic, clinic.at(0) - timedelta(minutes=30)) == []
    assert [row.visit.id for row in read(cast, clinic, clinic.at(0))] == [visit.id]
    assert read(cast, clinic, clinic.at(8), who="other_nurse") == []


def test_the_echeckin_is_counted(
    cast: Cast, clinic: Surgery, visit: Appointment, now: datetime
) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        for section, said in GIVEN.items():
            services.answer(
                viewer=viewer, appointment_id=visit.id, section=section, said=said, now=now
            )
    (row,) = read(cast, clinic, clinic.at(8))
    assert (row.asked, row.answered, row.complete) == (len(GIVEN), len(GIVEN), False)
    with identity(viewer.identity):
        services.complete(viewer=viewer, appointment_id=visit.id, now=now)
    (row,) = read(cast, clinic, clinic.at(8))
    assert (row.stage, row.complete) == (Stage.EXPECTED, True)


def test_nobody_has_missed_what_has_not_begun(
    cast: Cast, clinic: Surgery, visit: Appointment
) -> None:
    with pytest.raises(services.NotYet):
        become(cast, visit, "noshow", clinic.at(9) - SECOND)
    become(cast, visit, "noshow", clinic.at(9))
    assert read(cast, clinic, clinic.at(9))[0].stage == Stage.GONE


def press(browser: Client, visit: Appointment, step: str, version: int) -> str:
    answer = browser.post(
        reverse(BOARD), {"visit": str(visit.id), "version": version, "step": step}, follow=True
    )
    assert answer.status_code == 200
    return answer.content.decode()


def status_of(visit: Appointment) -> tuple[str, bool]:
    with identity(system("booking")):
        now = Appointment.objects.get(id=visit.id)
    return now.status, now.started_at is not None


class TestPage:
    def test_the_desk_presses_its_way_through(
        self, cast: Cast, clinic: Surgery, visit: Appointment, sign_in: SignIn
    ) -> None:
        with time_machine.travel(clinic.at(9, 15), tick=False):
            desk = sign_in(cast.desk)
            shown = desk.get(reverse(BOARD), {"location": clinic.location.id}).content.decode()
            assert "Testmann, Anna" in shown
            assert f"eCheck-in 0 of {len(GIVEN)}" in shown
            assert ">late<" in shown
            assert "waits 0 min" in press(desk, visit, "arrived", visit.version)
            # A page that was open since before tells, and changes nothing.
            assert "has changed meanwhile" in press(desk, visit, "noshow", visit.version)
            assert status_of(visit) == ("arrived", False)
            press(desk, visit, "start", visit.version + 1)
            assert status_of(visit) == ("arrived", True)
            press(desk, visit, "fulfilled", visit.version + 2)
            assert status_of(visit) == ("fulfilled", True)

    def test_did_not_come_is_offered_once_the_visit_has_begun(
        self, cast: Cast, clinic: Surgery, visit: Appointment, sign_in: SignIn
    ) -> None:
        for at, offered in ((clinic.at(9) - SECOND, False), (clinic.at(9), True)):
            with time_machine.travel(at, tick=False):
                shown = sign_in(cast.desk).get(reverse(BOARD)).content.decode()
            assert ("Did not come" in shown) is offered

    def test_each_patient_on_it_is_audited(
        self, cast: Cast, clinic: Surgery, visit: Appointment, sign_in: SignIn
    ) -> None:
        with time_machine.travel(clinic.at(8), tick=False):
            sign_in(cast.desk).get(reverse(BOARD))
        with identity(system("housekeeping")):
            look = AuditEvent.objects.get(operation="admin.appointment.board")
        assert (look.patient_id, look.resource_ids) == (cast.anna.id, [visit.id])

    @pytest.mark.parametrize("who", ["lab", "other_nurse"])
    def test_it_tells_others_nothing(
        self, cast: Cast, clinic: Surgery, visit: Appointment, sign_in: SignIn, who: str
    ) -> None:
        with time_machine.travel(clinic.at(9, 15), tick=False):
            browser = sign_in(getattr(cast, who))
            assert "Testmann" not in browser.get(reverse(BOARD)).content.decode()
            browser.post(
                reverse(BOARD), {"visit": visit.id, "version": visit.version, "step": "arrived"}
            )
        assert status_of(visit) == ("booked", False)

    @pytest.mark.parametrize(
        "form", [{}, {"visit": "x", "version": "1", "step": "arrived"}, {"step": "cancelled"}]
    )
    def test_a_step_that_is_none_is_not_found(
        self, cast: Cast, clinic: Surgery, visit: Appointment, sign_in: SignIn, form: dict
    ) -> None:
        sent = {"visit": str(visit.id), "version": str(visit.version), **form} if form else {}
        assert sign_in(cast.desk).post(reverse(BOARD), sent).status_code == 404


def test_nurses_read_what_the_desk_only_sees_answered(
    cast: Cast, clinic: Surgery, visit: Appointment, now: datetime, sign_in: SignIn
) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.answer(
            viewer=viewer,
            appointment_id=visit.id,
            section="medicines",
            said=GIVEN["medicines"],
            now=now,
        )
    page = reverse("admin:appointments_appointment_change", args=[visit.pk])
    for_nurse = sign_in(cast.nurse).get(page).content.decode()
    for_desk = sign_in(cast.desk).get(page).content.decode()
    assert "Letrozole" in for_nurse
    assert "Letrozole" not in for_desk
    assert "answered; for nurses and clinicians" in for_desk
    assert "not answered" in for_nurse
    assert "the patient" in for_nurse


def test_the_first_page_counts_what_is_due_at_the_desk(
    cast: Cast, clinic: Surgery, visit: Appointment
) -> None:
    viewer = staff_viewer(user=cast.desk, now=clinic.at(8))

    def figures(at: datetime) -> dict[str, str]:
        with identity(viewer.identity):
            return {one.title: one.value for one in due_work(viewer, now=at)}

    before = figures(clinic.at(8))
    assert (before["Visits in the next 24 hours"], before["Should be here by now"]) == ("1", "0")
    late = figures(clinic.at(9, 10))
    assert (late["Visits in the next 24 hours"], late["Should be here by now"]) == ("0", "1")
    assert figures(clinic.at(9, 10) - SECOND)["Should be here by now"] == "0"
