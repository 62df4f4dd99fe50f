"""What a reader has not opened yet, the groups of a report, and filters that are combined."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.db import identity, system
from core.ids import new_id
from labs.models import ReportSeen, SendingLaboratory
from labs.services.seen import mark_seen
from patients.models import CaregiverGrant
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of, withdraw
from tests.together import together
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def reports(api: Api, patient: str = "me", **params: str) -> tuple[list[str], int]:
    """Return the names of the reports listed, and how many are new."""
    answer = api.get(f"patients/{patient}/reports", params)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    return [item["name"] for item in body["items"]], body["new_count"]


def new_ones(api: Api, patient: str = "me") -> list[str]:
    listed, count = reports(api, patient, new="true")
    assert count == len(listed)
    return listed


def open_report(api: Api, report_id: object, patient: str = "me", **body: Any) -> Any:
    return api.post(f"patients/{patient}/reports/{report_id}/seen", body)


# --- new --------------------------------------------------------------------------------------


def test_a_report_is_new_until_she_says_that_she_opened_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    older = file_report(cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED - DAY, name="Old")
    file_report(cast.anna, laboratory, [Line("ast", "20")], name="Young")
    assert new_ones(as_anna) == ["Young", "Old"]
    # Reading alone moves no mark.
    assert as_anna.get(f"patients/me/reports/{older.id}").json()["is_new"] is True
    assert new_ones(as_anna) == ["Young", "Old"]
    answer = open_report(as_anna, older.id)
    assert (answer.status_code, answer.json()["report_id"]) == (200, str(older.id))
    assert new_ones(as_anna) == ["Young"]
    assert reports(as_anna) == (["Young", "Old"], 1)
    assert as_anna.get(f"patients/me/reports/{older.id}").json()["is_new"] is False
    shown = as_anna.get("patients/me/results").json()["items"]
    assert [(item["analyte"], item["is_new"]) for item in shown] == [("ast", True), ("alt", False)]


def test_opening_twice_is_opening_once_and_the_mark_never_goes_back(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")])
    first = open_report(as_anna, report.id).json()["seen"]["instant"]
    early = open_report(as_anna, report.id, as_of="2026-01-01T00:00:00Z").json()["seen"]["instant"]
    assert early == first
    assert new_ones(as_anna) == []
    with identity(viewer_of(cast.anna_user).identity):
        assert ReportSeen.objects.count() == 1


def test_each_reader_has_a_mark_of_her_own(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")], name="Liver")
    dora, anna_id = api_of(cast.dora, LABS), str(cast.anna.id)
    assert open_report(dora, report.id, anna_id).status_code == 200
    assert new_ones(dora, anna_id) == []
    assert new_ones(as_anna) == ["Liver"]
    with identity(viewer_of(cast.anna_user).identity):
        assert ReportSeen.objects.count() == 0


@pytest.mark.parametrize(("seconds", "is_new"), [(-1, True), (0, False), (1, False)])
def test_what_became_visible_after_she_read_is_new_again(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, seconds: int, is_new: bool
) -> None:
    """A correction that arrives between reading and marking stays new."""
    report = file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "20")])
    corrected_at = COLLECTED + 2 * DAY
    change = {"visible_from": corrected_at, "announced_at": corrected_at}
    correct(result_of(report, "alt"), Line("alt", "96", status="C", more=change), at=corrected_at)
    read_at = (corrected_at + timedelta(seconds=seconds)).isoformat()
    open_report(as_anna, report.id, as_of=read_at)
    assert as_anna.get(f"patients/me/reports/{report.id}").json()["is_new"] is is_new
    shown = as_anna.get("patients/me/results").json()["items"]
    assert {i["analyte"]: i["is_new"] for i in shown} == {"alt": is_new, "ast": False}


def test_what_she_may_not_see_makes_nothing_new(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "20")])
    open_report(as_anna, report.id)
    before = as_anna.get("patients/me/reports").content.partition(b'"as_of"')[0]
    later = COLLECTED + 3 * DAY
    correct(result_of(report, "alt"), Line("alt", "777", held=True), at=later)
    withdraw(result_of(report, "ast"), at=later)
    file_report(cast.anna, laboratory, [Line("alt", "777", held=True)], at=later)
    assert as_anna.get("patients/me/reports").content.partition(b'"as_of"')[0] == before
    assert new_ones(as_anna) == []


def test_only_a_report_that_she_may_see_can_be_marked(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    held = file_report(cast.anna, laboratory, [Line("alt", "777", held=True)])
    foreign = file_report(cast.brigid, laboratory, [Line("alt", "20")])
    for report_id in (held.id, foreign.id, new_id()):
        assert open_report(as_anna, report_id).status_code == 404
    assert open_report(api_of(cast.anna_user, "symptoms.write"), held.id).status_code == 403
    assert open_report(Api(), held.id).status_code == 401
    assert (
        open_report(api_of(cast.brigid.user, LABS), held.id, str(cast.anna.id)).status_code == 404
    )


def test_a_caregiver_without_labs_can_mark_nothing(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")])
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=["symptoms.read"])
    assert open_report(api_of(cast.dora, LABS), report.id, str(cast.anna.id)).status_code == 404


def test_a_time_that_cannot_be_read_is_refused(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")])
    answer = open_report(as_anna, report.id, as_of="yesterday")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "as_of")


def test_a_mark_from_the_future_is_one_of_now(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")], name="Liver")
    with identity(viewer_of(cast.anna_user).identity):
        marked = mark_seen(
            viewer_of(cast.anna_user), report_id=report.id, read_at=now + DAY, now=now
        )
    assert marked == now


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_opening_on_two_phones_at_once_leaves_one_mark(now: datetime) -> None:
    from tests.cast import make_cast
    from tests.labs.results import make_laboratory

    cast = make_cast(now)
    report = file_report(cast.anna, make_laboratory(cast.clinic), [Line("alt", "20")])
    viewer = viewer_of(cast.anna_user)

    def step(offset: int) -> str:
        with identity(viewer.identity):
            mark_seen(viewer, report_id=report.id, read_at=now - timedelta(hours=offset), now=now)
        return "marked"

    assert together([lambda n=n: step(n) for n in range(4)]) == ["marked"] * 4
    with identity(viewer.identity):
        assert list(ReportSeen.objects.values_list("seen_at", flat=True)) == [now]


def test_a_report_pages_on_while_others_are_opened(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    for back in range(5):
        name = f"R{back}"
        file_report(
            cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED - back * DAY, name=name
        )
    params = {"new": "true", "limit": "2"}
    first = as_anna.get("patients/me/reports", params).json()
    assert [item["name"] for item in first["items"]] == ["R0", "R1"]
    for item in first["items"]:
        open_report(as_anna, item["id"])
    # A younger one that comes meanwhile moves nothing on the pages that follow.
    file_report(cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED + DAY, name="Younger")
    second = as_anna.get("patients/me/reports", {**params, "cursor": first["next"]}).json()
    assert [item["name"] for item in second["items"]] == ["R2", "R3"]
    assert second["new_count"] == 4
    third = as_anna.get("patients/me/reports", {**params, "cursor": second["next"]}).json()
    assert ([item["name"] for item in third["items"]], third["next"]) == (["R4"], None)
    other = as_anna.get("patients/me/reports", {"limit": "2", "cursor": first["next"]})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "cursor")


# --- groups -----------------------------------------------------------------------------------


def test_a_report_is_grouped_in_the_order_of_a_page_and_keeps_the_laboratorys(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    sent = [
        Line("platelets", "250", range="150-400", unit="10*3/uL"),
        Line("albumin", "4.0"),
        Line("alt", "20"),
        Line("calcium_total", "9.1"),
    ]
    report = file_report(cast.anna, laboratory, sent)
    shown = as_anna.get(f"patients/me/reports/{report.id}").json()
    assert [r["analyte"] for r in shown["results"]] == [line.analyte for line in sent]
    names = {r["id"]: r["analyte"] for r in shown["results"]}
    assert [
        (p["key"], p["title"], [names[i] for i in p["result_ids"]]) for p in shown["panels"]
    ] == [
        ("liver", "Liver", ["alt", "albumin"]),
        ("blood_count", "Blood count", ["platelets"]),
        ("bone_calcium", "Bones and calcium", ["calcium_total"]),
    ]
    assert {r["analyte"]: r["panel"] for r in shown["results"]}["platelets"] == "blood_count"


def test_filters_narrow_together(cast: Cast, laboratory: SendingLaboratory, as_anna: Api) -> None:
    unlisted = {"analyte_key": "", "loinc": "99999-9"}
    file_report(
        cast.anna,
        laboratory,
        [Line("alt", "96"), Line("albumin", "4.0"), Line("cea", "2", range="0-5", unit="ng/mL")],
        name="Both",
    )
    file_report(
        cast.anna,
        laboratory,
        [Line("alt", "20"), Line("ast", "20", more=unlisted)],
        at=COLLECTED - 10 * DAY,
        name="Early",
    )

    def results(**params: str) -> list[str]:
        answer = as_anna.get("patients/me/results", params)
        assert answer.status_code == 200, answer.content
        return sorted(f"{i['analyte']} {i['value']['text']}" for i in answer.json()["items"])

    assert results(panel="liver") == ["albumin 4.0", "alt 20", "alt 96"]
    assert results(panel="tumour_markers") == ["cea 2"]
    assert results(panel="other") == ["None 20"]
    assert results(panel="tumour_markers,other") == ["None 20", "cea 2"]
    assert results(panel="liver", analyte="alt") == ["alt 20", "alt 96"]
    assert results(panel="liver", state="HIGH") == ["alt 96"]
    assert results(panel="liver", state="IN_RANGE", until="2026-10-30") == ["alt 20"]
    assert results(panel="liver", **{"from": "2026-10-30"}) == ["albumin 4.0", "alt 96"]
    assert results(panel="blood_count") == []
    assert results(panel="liver", analyte="cea") == []
    assert reports(as_anna, panel="tumour_markers")[0] == ["Both"]
    assert reports(as_anna, panel="other")[0] == ["Early"]
    assert reports(as_anna, panel="liver")[0] == ["Both", "Early"]
    assert reports(as_anna, panel="liver", until="2026-10-30")[0] == ["Early"]
    assert reports(as_anna, **{"from": "2026-10-30"})[0] == ["Both"]


def test_a_panel_filter_tells_nothing_of_a_held_result(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    hidden = Line("cea", "99", range="0-5", unit="ng/mL", held=True)
    file_report(cast.anna, laboratory, [Line("alt", "20"), hidden])
    assert reports(as_anna, panel="tumour_markers")[0] == []


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("results", {"panel": "spleen"}, "panel"),
        ("reports", {"panel": "spleen"}, "panel"),
        ("reports", {"new": "perhaps"}, "new"),
        ("reports", {"from": "tomorrow"}, "from"),
        ("reports", {"until": "2026-11-01T10:00"}, "until"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_name(
    as_anna: Api, path: str, params: dict[str, str], field: str
) -> None:
    answer = as_anna.get(f"patients/me/{path}", params)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_a_cursor_belongs_to_its_filters(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "20")])
    page = as_anna.get("patients/me/results", {"panel": "liver", "limit": "1"}).json()
    used = {"cursor": page["next"], "limit": "1"}
    assert as_anna.get("patients/me/results", {**used, "panel": "liver"}).status_code == 200
    for other in ({}, {"panel": "other"}, {"panel": "liver", "state": "HIGH"}):
        assert as_anna.get("patients/me/results", {**used, **other}).status_code == 422
