"""A country changes its clocks' rules: future visits keep the local time they were booked at.

The rules really change: another file of the time-zone database is put in the place of the one
under which the visits were booked.
"""

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import resources
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.management import call_command

from appointments import services
from appointments.models import Appointment, AppointmentHistory, ResourceClaim
from appointments.services.reanchoring import reanchor_visits
from core.db import identity, system
from core.models import Event
from patients.viewer import staff_viewer
from tests.appointments.factories import book, cancel, surgery
from tests.cast import Cast
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

BERLIN = "Europe/Berlin"
Rules = Callable[[str], None]


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Rules]:
    """Let Berlin have the rules of another zone from now on."""
    before = zoneinfo.TZPATH

    def change(like: str) -> None:
        folder, _, name = like.rpartition("/")
        package = f"tzdata.zoneinfo.{folder.replace('/', '.')}"
        file = tmp_path / BERLIN
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(resources.files(package).joinpath(name).read_bytes())
        zoneinfo.reset_tzpath([str(tmp_path)])
        ZoneInfo.clear_cache(only_keys=[BERLIN])

    yield change
    zoneinfo.reset_tzpath(before)
    ZoneInfo.clear_cache(only_keys=[BERLIN])


def stored(visit_id: object) -> Appointment:
    with identity(system("booking")):
        return Appointment.objects.get(id=visit_id)


def local(visit: Appointment) -> str:
    return f"{visit.starts_at.astimezone(ZoneInfo(BERLIN)):%H:%M}"


@pytest.mark.parametrize(("like", "by"), [("Etc/GMT-2", -1), ("Etc/GMT", 1)])
def test_a_whole_morning_moves_and_keeps_its_local_times(
    cast: Cast, now: datetime, rules: Rules, like: str, by: int
) -> None:
    clinic = surgery(cast.clinic)
    anna = [book(cast.anna_user, clinic.opening(hour), now) for hour in (9, 10, 11)]
    brigid = book(cast.brigid.user, clinic.opening(9, 30), now)
    rules(like)
    assert len(reanchor_visits(now=now, dry_run=True).moved) == 4
    assert stored(anna[0].id).starts_at == anna[0].starts_at
    done = reanchor_visits(now=now)
    assert (len(done.moved), done.conflicts) == (4, [])
    for was, shown in [*zip(anna, ("09:00", "10:00", "11:00"), strict=True), (brigid, "09:30")]:
        visit = stored(was.id)
        assert visit.starts_at == was.starts_at + timedelta(hours=by)
        assert visit.ends_at - visit.starts_at == was.ends_at - was.starts_at
        assert (local(visit), f"{visit.local_time:%H:%M}", visit.sequence) == (shown, shown, 1)
    with identity(system("booking")):
        live = ResourceClaim.objects.filter(active=True)
        assert {claim.during.lower for claim in live} == {
            stored(was.id).starts_at for was in (*anna, brigid)
        }
        assert AppointmentHistory.objects.filter(action="reschedule", via="system").count() == 4
    assert reanchor_visits(now=now).moved == []


def test_without_a_change_of_rules_nothing_is_done(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    done = reanchor_visits(now=now)
    assert (done.moved, done.conflicts) == ([], [])


def test_what_is_over_or_cancelled_stays(cast: Cast, now: datetime, rules: Rules) -> None:
    clinic = surgery(cast.clinic)
    past = book(cast.anna_user, clinic.opening(9), now)
    gone = book(cast.brigid.user, clinic.opening(10), now)
    cancel(cast.brigid.user, gone.id, now)
    rules("Etc/GMT-2")
    assert reanchor_visits(now=past.starts_at).moved == []


def test_a_time_that_is_taken_is_put_before_the_front_desk(
    cast: Cast, now: datetime, rules: Rules
) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    nurse = staff_viewer(user=cast.nurse, now=now)
    with identity(nurse.identity):
        services.block_time(
            actor=cast.nurse,
            resource_id=clinic.doctor.id,
            starts_at=clinic.at(8),
            ends_at=clinic.at(8, 30),
            reason="Ward round",
            now=now,
        )
    rules("Etc/GMT-2")
    assert reanchor_visits(now=now).conflicts == [visit.id]
    assert reanchor_visits(now=now).conflicts == [visit.id]
    assert stored(visit.id).starts_at == visit.starts_at
    with identity(system("worklist")):
        (item,) = WorkItem.objects.filter(concern="appointments.zone-rules")
    assert (item.owner_team, item.patient_id) == ("front_desk", cast.anna.id)
    with identity(system("booking")):
        assert ResourceClaim.objects.filter(held_for=visit.id, active=True).count() == 1


def test_the_command_says_what_it_did(cast: Cast, now: datetime, rules: Rules) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    rules("Etc/GMT-2")
    with time_machine.travel(now, tick=False):
        runs = ((["--dry-run"], "1 visits would be moved\n"), ([], "1 visits moved\n"))
        for arguments, said in runs:
            out = StringIO()
            call_command("reanchor_visits", *arguments, stdout=out)
            assert out.getvalue() == said
    assert local(stored(visit.id)) == "09:00"
    with identity(system("events")):
        assert Event.objects.filter(subject_id=visit.id, type="appointments.rescheduled").exists()
