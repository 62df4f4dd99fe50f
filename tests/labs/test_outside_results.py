"""Results that a patient types in: hers, plainly marked, and nobody of the staff is moved."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinical.analytes import analytes
from core.db import identity, system
from core.ids import new_id
from core.models import AuditEvent, Change, Event
from labs.models import DiagnosticReport, Observation, SendingLaboratory
from labs.services import outside
from notifications.models import Notification
from patients.models import CaregiverGrant
from tests.cast import Cast, make_cast
from tests.labs.conftest import LABS
from tests.labs.results import COLLECTED, Line, file_report
from tests.together import together
from tests.tokens import Api, api_of, viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

WRITES = "labs.read symptoms.write"
MINE = "You entered this. Your clinic did not."
PATH = "patients/me/outside-results"


def typed(**more: Any) -> dict[str, Any]:
    return {
        "analyte": "alt",
        "value": "41",
        "unit": "U/L",
        "range": "7-35",
        "taken_on": "2026-11-02",
        "where": "Harbor Laboratory",
        **more,
    }


@pytest.fixture(autouse=True)
def at_now(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, WRITES)


def enter(api: Api, patient: str = "me", **more: Any) -> dict[str, Any]:
    answer = api.post(f"patients/{patient}/outside-results", typed(**more))
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def results(api: Api, patient: str = "me", **params: str) -> list[dict[str, Any]]:
    answer = api.get(f"patients/{patient}/results", params)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def caregiver(cast: Cast, *scopes: str) -> Api:
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=list(scopes))
    return api_of(cast.dora, WRITES)


def nobody_was_told() -> None:
    with identity(system("worklist")):
        assert WorkItem.objects.count() == 0
    with identity(system("notifications")):
        assert Notification.objects.count() == 0
    with identity(system("events")):
        assert Event.objects.filter(type__startswith="labs.").count() == 0


# --- what she sees ----------------------------------------------------------------------------


def test_it_stands_in_her_list_and_says_on_its_face_who_entered_it(cast: Cast, anna: Api) -> None:
    made = enter(anna)
    (shown,) = results(anna)
    assert shown == made
    assert (shown["origin"], shown["report_id"], shown["loinc"]) == ("patient", None, None)
    assert shown["entered"] == {"by": "you", "words": MINE, "where": "Harbor Laboratory"}
    assert shown["meaning"].startswith(MINE)
    assert (shown["state"], shown["reason"]) == (
        "HIGH",
        "Above the range that was typed in with it.",
    )
    assert shown["value"] == {
        "text": "41", "number": "41", "comparator": None, "unit": "U/L", "ucum": "U/L",
    }  # fmt: skip
    assert shown["range"] == {"text": "7-35", "low": "7", "high": "35"}
    assert shown["collected"]["local"] == "2026-11-02T12:00"
    assert (shown["change"], shown["is_new"], shown["panel"]) == (None, False, "liver")
    assert anna.get("patients/me/reports").json()["items"] == []
    nobody_was_told()


def test_a_laboratorys_result_is_not_compared_with_what_she_typed(
    cast: Cast, laboratory: SendingLaboratory, anna: Api
) -> None:
    enter(anna, taken_on="2026-10-01")
    file_report(cast.anna, laboratory, [Line("alt", "96")])
    of_laboratory = next(r for r in results(anna) if r["origin"] == "laboratory")
    assert of_laboratory["change"] is None
    assert of_laboratory["entered"] is None


def test_a_number_beyond_the_limits_tells_her_to_call_and_nobody_else(
    cast: Cast, anna: Api
) -> None:
    made = enter(anna, analyte="potassium", value="6.9", unit="mmol/L", range="3.5-9.0")
    assert (made["state"], made["tier"]) == ("CRITICAL", "urgent")
    assert cast.clinic.phone_24h in made["what_to_do"]
    assert "Call your care team now" in made["what_to_do"]
    assert made["meaning"].startswith(MINE)
    nobody_was_told()
    with identity(system("lab-intake")):
        row = Observation.objects.get(id=made["id"])
    assert (row.staff_critical, row.comparable, row.discrepancy) == (False, False, False)


def test_a_decimal_comma_is_read_only_when_she_says_that_the_paper_has_one(anna: Api) -> None:
    made = enter(
        anna, analyte="albumin", value="4,1", unit="g/dL", range="3,5-5,2", decimal_comma=True
    )
    assert (made["state"], made["value"]["number"]) == ("IN_RANGE", "4.1")
    refused = anna.post(PATH, typed(analyte="albumin", value="4,1", unit="g/dL"))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "value")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"analyte": "unobtainium"}, "analyte"),
        ({"analyte": ""}, "analyte"),
        ({"value": "hemolyzed"}, "value"),
        ({"value": "-3"}, "value"),
        ({"value": "4\x001"}, "value"),
        ({"value": "9" * 41}, "value"),
        ({"value": "<script>"}, "value"),
        ({"value": "\u0664\u0661"}, "value"),
        ({"value": "1e400"}, "value"),
        ({"where": ""}, "where"),
        ({"where": "x" * 121}, "where"),
        ({"unit": None}, "unit"),
        ({"range": "7" * 101}, "range"),
        ({"taken_on": "yesterday"}, "taken_on"),
        ({"taken_on": "1899-12-31"}, "taken_on"),
        ({"taken_on": "9999-12-31"}, "taken_on"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    anna: Api, more: dict[str, Any], field: str
) -> None:
    answer = anna.post(PATH, typed(**more))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert results(anna) == []


def test_markup_stays_text(anna: Api) -> None:
    made = enter(anna, where="<b onclick=x>Lab</b>", range="<img src=x>", unit="<u>")
    assert made["entered"]["where"] == "<b onclick=x>Lab</b>"
    assert made["state"] == "UNKNOWN_UNIT"


@pytest.mark.parametrize(
    ("instant", "day", "status"),
    [
        # 23:30 UTC is the next day in Berlin, in winter and in summer.
        ("2026-11-09T22:59:59Z", "2026-11-10", 422),
        ("2026-11-09T23:00:00Z", "2026-11-10", 201),
        ("2026-07-09T21:59:59Z", "2026-07-10", 422),
        ("2026-07-09T22:00:00Z", "2026-07-10", 201),
        # The days on which the clocks change.
        ("2026-03-29T09:00:00Z", "2026-03-29", 201),
        ("2026-10-25T09:00:00Z", "2026-10-25", 201),
    ],
)
def test_the_day_is_one_that_has_begun_where_she_lives(
    cast: Cast, instant: str, day: str, status: int
) -> None:
    with time_machine.travel(datetime.fromisoformat(instant), tick=False):
        viewer = viewer_of(cast.anna_user)
        taken_on = datetime.fromisoformat(day).date()
        entry = outside.OutsideEntry("alt", "41", "U/L", "", taken_on, "Lab")
        now = datetime.fromisoformat(instant)
        with identity(viewer.identity):
            if status == 422:
                with pytest.raises(outside.InvalidInput):
                    outside.enter(viewer, entry, now=now)
                return
            made = Observation.objects.get(id=outside.enter(viewer, entry, now=now))
    assert made.effective_at <= now
    assert made.effective_at.astimezone(now.tzinfo) <= now


# --- correcting and taking back ---------------------------------------------------------------


def test_a_correction_is_a_new_version_that_says_what_it_was(cast: Cast, anna: Api) -> None:
    first = enter(anna)
    answer = anna.put(f"{PATH}/{first['id']}", typed(value="14"))
    assert answer.status_code == 200, answer.content
    (shown,) = results(anna)
    assert shown["id"] == answer.json()["id"] != first["id"]
    assert (shown["version"], shown["value"]["text"], shown["was"]["text"]) == (2, "14", "41")
    # The old id still means the same result; the same content makes no version.
    again = anna.put(f"{PATH}/{first['id']}", typed(value="14"))
    assert again.json()["id"] == shown["id"]
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 2
    nobody_was_told()


def test_taking_back_withdraws_every_version(cast: Cast, anna: Api) -> None:
    first = enter(anna)
    second = anna.put(f"{PATH}/{first['id']}", typed(value="14")).json()
    assert anna.call("DELETE", f"{PATH}/{first['id']}").status_code == 204
    assert results(anna) == []
    assert anna.get("patients/me/analytes").json()["items"] == []
    for result_id in (first["id"], second["id"]):
        assert anna.call("DELETE", f"{PATH}/{result_id}").status_code == 404
        assert anna.put(f"{PATH}/{result_id}", typed()).status_code == 404
    with identity(system("lab-intake")):
        assert Observation.objects.filter(withdrawn_at__isnull=False).count() == 2


def test_the_feed_says_what_came_and_what_is_gone(cast: Cast, anna: Api) -> None:
    first = enter(anna)
    second = anna.put(f"{PATH}/{first['id']}", typed(value="14")).json()
    anna.call("DELETE", f"{PATH}/{second['id']}")
    with identity(system("lab-intake")):
        lines = [(str(line.resource_id), line.kind) for line in Change.objects.filter(area="labs")]
    assert sorted(lines) == sorted(
        (made["id"], kind) for made in (first, second) for kind in ("upsert", "gone")
    )


def test_the_same_key_enters_once(anna: Api) -> None:
    key = str(new_id())
    first = anna.post(PATH, typed(), key=key)
    again = anna.post(PATH, typed(), key=key)
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    assert len(results(anna)) == 1
    other = anna.post(PATH, typed(value="42"), key=key)
    assert other.status_code in (409, 422)
    assert len(results(anna)) == 1


def test_each_step_is_audited(cast: Cast, anna: Api) -> None:
    first = enter(anna)
    anna.put(f"{PATH}/{first['id']}", typed(value="14"))
    anna.call("DELETE", f"{PATH}/{first['id']}")
    with identity(system("housekeeping")):
        steps = list(
            AuditEvent.objects.filter(operation__startswith="labs.outside", outcome="success")
            .order_by("action")
            .values_list("action", "actor_id", "patient_id")
        )
    who = (cast.anna_user.pk, cast.anna.pk)
    assert steps == [("C", *who), ("D", *who), ("U", *who)]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_corrections_at_once_follow_each_other(now: datetime) -> None:
    cast = make_cast(now)
    viewer = viewer_of(cast.anna_user)

    def entry(value: str) -> outside.OutsideEntry:
        return outside.OutsideEntry("alt", value, "U/L", "7-35", COLLECTED.date(), "Lab")

    with identity(viewer.identity):
        made = outside.enter(viewer, entry("10"), now=now)

    def step(value: str) -> str:
        with identity(viewer.identity):
            outside.correct(viewer, made, entry(value), now=now)
        return "corrected"

    assert together([lambda v=v: step(v) for v in ("11", "12", "13")]) == ["corrected"] * 3
    with identity(system("lab-intake")):
        rows = Observation.objects.order_by("version").values_list("version", "superseded_at")
        assert [(version, at is None) for version, at in rows] == [
            (1, False),
            (2, False),
            (3, False),
            (4, True),
        ]


# --- who may ----------------------------------------------------------------------------------


def test_a_token_needs_both_scopes_before_any_id_is_read(cast: Cast) -> None:
    for scopes in ("labs.read", "symptoms.write", "labs.read symptoms.read"):
        api = api_of(cast.anna_user, scopes)
        for patient in ("me", str(new_id())):
            assert api.post(f"patients/{patient}/outside-results", typed()).status_code == 403
    assert Api().post(PATH, typed()).status_code == 401
    assert api_of(cast.nurse, "staff").post(PATH, typed()).status_code == 403


@pytest.mark.parametrize("scopes", [("labs.read",), ("symptoms.write",)])
def test_a_caregiver_needs_both_grants(cast: Cast, scopes: tuple[str, ...]) -> None:
    dora, path = caregiver(cast, *scopes), f"patients/{cast.anna.id}/outside-results"
    assert dora.post(path, typed()).status_code == 404
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 0


def test_everybody_sees_who_entered_it(cast: Cast, anna: Api) -> None:
    dora, anna_id = caregiver(cast, "labs.read", "symptoms.write"), str(cast.anna.id)
    enter(anna, analyte="alt")
    by_dora = enter(dora, anna_id, analyte="ast")
    assert by_dora["entered"]["by"] == "you"
    for api, patient, said in (
        (anna, "me", {"alt": MINE, "ast": "A caregiver entered this. The clinic did not."}),
        (dora, anna_id, {"ast": MINE, "alt": "The patient entered this. The clinic did not."}),
    ):
        assert {r["analyte"]: r["entered"]["words"] for r in results(api, patient)} == said


def test_a_caregiver_changes_only_what_she_entered_herself(cast: Cast, anna: Api) -> None:
    dora, anna_id = caregiver(cast, "labs.read", "symptoms.write"), str(cast.anna.id)
    of_anna = enter(anna)
    path = f"patients/{anna_id}/outside-results/{of_anna['id']}"
    assert dora.put(path, typed(value="1")).status_code == 404
    assert dora.call("DELETE", path).status_code == 404
    of_dora = enter(dora, anna_id, analyte="ast")
    assert anna.call("DELETE", f"{PATH}/{of_dora['id']}").status_code == 204


def test_strangers_and_laboratory_results_look_absent(
    cast: Cast, laboratory: SendingLaboratory, anna: Api
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "96")])
    (of_laboratory,) = results(anna)
    made = enter(anna)
    brigid = api_of(cast.brigid.user, WRITES)
    for api, path in (
        (brigid, f"patients/{cast.anna.id}/outside-results/{made['id']}"),
        (brigid, f"{PATH}/{made['id']}"),
        (anna, f"{PATH}/{of_laboratory['id']}"),
        (anna, f"{PATH}/{new_id()}"),
    ):
        assert api.put(path, typed(value="1")).status_code == 404
        assert api.call("DELETE", path).status_code == 404
    assert {r["value"]["text"] for r in results(anna)} == {"96", "41"}


# --- the wall in the table --------------------------------------------------------------------


def row_of(cast: Cast, now: datetime, **more: Any) -> Observation:
    viewer = viewer_of(cast.anna_user)
    entry = outside.OutsideEntry("alt", "41", "U/L", "7-35", COLLECTED.date(), "Lab")
    made = outside._row(viewer, entry, now=now)
    made.identity_key = str(new_id())
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "wrong",
    [
        {"comparable": True},
        {"staff_critical": True},
        {"discrepancy": True},
        {"filed_by_id": None},
        {"origin": "laboratory"},
    ],
    ids=str,
)
def test_the_table_refuses_an_entry_that_could_move_somebody(
    cast: Cast, now: datetime, wrong: dict[str, Any]
) -> None:
    with identity(system("lab-intake")):
        row_of(cast, now).save(force_insert=True)
        with pytest.raises(DatabaseError), transaction.atomic():
            row_of(cast, now, **wrong).save(force_insert=True)


def test_the_table_refuses_a_laboratory_or_report_on_an_entry(
    cast: Cast, laboratory: SendingLaboratory, now: datetime
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")])
    with identity(system("lab-intake")):
        for wrong in ({"report": report}, {"laboratory": laboratory}):
            with pytest.raises(DatabaseError), transaction.atomic():
                row_of(cast, now, **wrong).save(force_insert=True)


def test_nobody_but_the_portal_writes_such_a_row(cast: Cast, now: datetime) -> None:
    from patients.viewer import staff_viewer

    for who in (viewer_of(cast.anna_user), staff_viewer(user=cast.nurse, now=now)):
        with identity(who.identity), pytest.raises(DatabaseError), transaction.atomic():
            row_of(cast, now).save(force_insert=True)


def test_she_cannot_change_a_row_past_the_service(cast: Cast, anna: Api) -> None:
    enter(anna)
    with (
        identity(viewer_of(cast.anna_user).identity),
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE labs_observation SET superseded_at = now()")


# --- no sequence of entries raises anything ---------------------------------------------------

_KEYS = [analyte.key for analyte in analytes()]
_ENTRY = st.fixed_dictionaries(
    {
        "analyte": st.sampled_from(
            [*_KEYS, *(["alt", "ast", "bilirubin_total", "calcium_total", "albumin"] * 8)]
        ),
        "value": st.sampled_from(["0.1", "1", "2.1", "6.9", "41", "900", "5000", "<5", ">999"]),
        "unit": st.sampled_from(["U/L", "mg/dL", "g/dL", "mmol/L", "10*3/uL", "furlongs", ""]),
        "range": st.sampled_from(["", "7-35", "0.2-1.2", "8.6-10.2", "<5", ">60", "words"]),
        "taken_on": st.sampled_from(["2026-11-01", "2026-11-02", "2026-10-01"]),
    }
)
_STEPS = st.lists(st.tuples(st.sampled_from(["enter", "correct", "take back"]), _ENTRY), max_size=8)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_STEPS)
def test_no_sequence_of_entries_makes_a_work_item(
    cast: Cast, anna: Api, steps: list[tuple[str, dict[str, str]]]
) -> None:
    last = str(new_id())
    for step, entry in steps:
        if step == "enter":
            last = enter(anna, **entry)["id"]
        elif step == "correct":
            assert anna.put(f"{PATH}/{last}", typed(**entry)).status_code in (200, 404)
        else:
            assert anna.call("DELETE", f"{PATH}/{last}").status_code in (204, 404)
    nobody_was_told()


def test_what_she_typed_meets_no_laboratory_value_in_hys_law_or_calcium(
    cast: Cast, now: datetime, anna: Api
) -> None:
    from tests.labs.messages import Obr, Obx, laboratory, oru, send

    laboratory(cast.clinic)
    for analyte, value, unit, typed_range in (
        ("bilirubin_total", "9", "mg/dL", "0.2-1.2"),
        ("albumin", "2.0", "g/dL", "3.5-5.2"),
        ("alp", "90", "U/L", "35-104"),
    ):
        enter(anna, analyte=analyte, value=value, unit=unit, range=typed_range)
    send(oru(Obr([Obx("200")])), now)
    with identity(system("worklist")):
        titles = set(WorkItem.objects.values_list("title", flat=True))
    assert not any("Hy's" in title for title in titles)
    with identity(system("lab-intake")):
        assert Observation.objects.filter(origin="derived").count() == 0
        assert DiagnosticReport.objects.count() == 1


def test_a_caregiver_who_only_reads_sees_it(cast: Cast, anna: Api) -> None:
    enter(anna)
    (shown,) = results(api_of(cast.dora, LABS), str(cast.anna.id))
    assert shown["entered"]["by"] == "patient"


def test_it_counts_from_the_moment_it_was_entered(cast: Cast, anna: Api, now: datetime) -> None:
    enter(anna)
    with identity(system("lab-intake")):
        row = Observation.objects.get()
    assert (row.visible_from, row.announced_at, row.filed_at) == (now, now, now)
    assert row.effective_at < now - timedelta(hours=1)
