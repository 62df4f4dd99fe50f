"""Lists of results and reports: order, filters, pages, words, links."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from clinical.analytes import by_key
from clinical.patient_text import PROMISES, Contact, text_for
from clinical.states import PortalState, patient_label
from core import links
from labs.models import SendingLaboratory
from tests.cast import Cast
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_results_come_latest_first_with_value_range_and_reason(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "22")], at=COLLECTED - DAY)
    file_report(cast.anna, laboratory, [Line("alt", "96", flags=("H",))])
    newer, older = items(as_anna.get("patients/me/results"))
    assert (newer["value"]["text"], newer["state"], newer["tier"]) == ("96", "HIGH", "attention")
    assert newer["range"] == {"text": "7-35", "low": "7", "high": "35"}
    assert newer["flags"] == ["H"]
    assert newer["reason"]
    assert newer["rule"]["version"]
    assert newer["collected"]["zone"] == "Europe/Berlin"
    assert newer["collected"]["local"] == "2026-11-02T09:30"
    assert (older["state"], older["tier"]) == ("IN_RANGE", "fine")


def test_a_decimal_keeps_the_scale_that_the_laboratory_sent(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_report(cast.anna, laboratory, [Line("calcium_total", "9.10")])
    (shown,) = items(as_anna.get("patients/me/results"))
    assert (shown["value"]["text"], shown["value"]["number"]) == ("9.10", "9.10")
    assert shown["range"]["high"] == "10.2"


def test_a_limit_has_a_comparator_and_no_plain_number(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "<5")])
    (shown,) = items(as_anna.get("patients/me/results"))
    assert shown["value"]["comparator"] == "<"
    assert shown["value"]["number"] is None
    assert shown["change"] is None


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [("40", "41", "up"), ("41", "40", "down"), ("40", "40", "same"), ("40.0", "40", "same")],
)
def test_change_says_a_direction_and_what_it_was(
    cast: Cast,
    laboratory: SendingLaboratory,
    as_anna: Api,
    before: str,
    after: str,
    direction: str,
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", before)], at=COLLECTED - DAY)
    file_report(cast.anna, laboratory, [Line("alt", after)])
    newer, older = items(as_anna.get("patients/me/results"))
    assert newer["change"]["direction"] == direction
    assert newer["change"]["from"] == before
    assert older["change"] is None


@pytest.mark.parametrize(
    "earlier",
    [
        Line("alt", "<5"),
        Line("ast", "20"),
        Line("alt", "20", unit="mg/dL"),
        Line("alt", "20", more={"loinc": "1743-4"}),
        Line("alt", "20", status="P"),
        Line("alt", "hemolyzed"),
    ],
    ids=["limit", "other analyte", "other unit", "other method", "preliminary", "words"],
)
def test_change_compares_like_with_like_only(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, earlier: Line
) -> None:
    file_report(cast.anna, laboratory, [earlier], at=COLLECTED - DAY)
    file_report(cast.anna, laboratory, [Line("alt", "30")])
    assert items(as_anna.get("patients/me/results"))[0]["change"] is None


def test_filters_narrow_by_analyte_state_and_day_in_her_zone(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    # 23:30 UTC is the next day in Berlin.
    late = COLLECTED.replace(day=9, hour=23, minute=30)
    file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20")], at=late)
    file_report(cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED)

    def values(**params: str) -> list[str]:
        return [i["value"]["text"] for i in items(as_anna.get("patients/me/results", params))]

    assert sorted(values(analyte="alt")) == ["20", "96"]
    assert len(values(analyte="alt,ast")) == 3
    assert values(state="HIGH") == ["96"]
    assert values(state="HELD") == []
    assert values(**{"from": "2026-11-11"}) == []
    assert sorted(values(**{"from": "2026-11-10"})) == ["20", "96"]
    assert values(until="2026-11-10") == ["20"]
    assert values(until="2026-11-09T23:30:00Z") == ["20"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"until": "2026-13-01"}, "until"),
        ({"from": "2026-11-01T10:00"}, "from"),
        ({"state": "FINE"}, "state"),
        ({"analyte": "alt,\x00"}, "analyte"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"cursor": "made-up"}, "cursor"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused_by_name(
    as_anna: Api, params: dict[str, str], field: str
) -> None:
    answer = as_anna.get("patients/me/results", params)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_last_day_of_the_calendar_are_days(as_anna: Api, day: str) -> None:
    assert as_anna.get("patients/me/results", {"from": day}).status_code == 200


def test_pages_meet_without_gap_or_double_and_belong_to_their_list(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    # All at one instant: the id decides.
    for _ in range(3):
        file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "21")])
    whole = [i["id"] for i in items(as_anna.get("patients/me/results", {"limit": "100"}))]
    seen: list[str] = []
    params = {"limit": "4"}
    while True:
        answer = as_anna.get("patients/me/results", params)
        seen += [i["id"] for i in items(answer)]
        if answer.json()["next"] is None:
            break
        params = {"limit": "4", "cursor": answer.json()["next"]}
    assert seen == whole
    assert len(set(seen)) == 6
    cursor = as_anna.get("patients/me/results", {"limit": "4"}).json()["next"]
    for path, more in (("reports", {}), ("results", {"analyte": "alt"})):
        refused = as_anna.get(f"patients/me/{path}", {"cursor": cursor, **more})
        assert refused.status_code == 422


def test_reports_list_the_frame_and_the_report_its_results_in_order(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    lines = [Line("bilirubin_total", "0.8"), Line("alt", "20"), Line("alp", "300")]
    report = file_report(cast.anna, laboratory, lines)
    (frame,) = items(as_anna.get("patients/me/reports"))
    assert frame["id"] == str(report.id)
    assert (frame["name"], frame["laboratory"]) == ("Liver panel", "Main Laboratory")
    assert frame["corrected"] is False
    answer = as_anna.get(f"patients/me/reports/{report.id}")
    assert answer.status_code == 200
    detail = answer.json()
    assert [r["analyte"] for r in detail["results"]] == ["bilirubin_total", "alt", "alp"]
    assert "care team" in detail["note"]
    assert detail["warnings"] == []


def test_a_corrected_result_says_what_it_was_and_marks_its_report(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=COLLECTED + DAY)
    (shown,) = items(as_anna.get("patients/me/results"))
    assert (shown["value"]["text"], shown["status"], shown["state"]) == (
        "26",
        "corrected",
        "IN_RANGE",
    )
    assert (shown["was"]["text"], shown["was"]["unit"]) == ("96", "U/L")
    (frame,) = items(as_anna.get("patients/me/reports"))
    assert frame["corrected"] is True


def test_a_correction_of_other_things_than_the_value_has_no_was(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    same = Line("alt", "96", status="C", more={"lab_comment": "Checked."})
    correct(result_of(report, "alt"), same, at=COLLECTED + DAY)
    (shown,) = items(as_anna.get("patients/me/results"))
    assert shown["was"] is None
    assert shown["lab_comment"] == "Checked."


def test_a_second_correction_looks_back_over_a_version_that_she_never_saw(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    held = Line("alt", "500", status="C", held=True)
    unseen = correct(result_of(report, "alt"), held, at=COLLECTED + DAY)
    correct(unseen, Line("alt", "26", status="C"), at=COLLECTED + 2 * DAY)
    (shown,) = items(as_anna.get("patients/me/results"))
    assert shown["was"]["text"] == "96"


def test_critical_words_carry_the_phones_and_promise_nobody(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    lines = [
        Line("calcium_total", "14.2", flags=("HH",)),
        Line("alt", "96"),
        Line("ast", "20"),
        Line("alp", "60", range=""),
        Line("ggt", "see note"),
        Line("albumin", "4.1", unit="furlongs"),
    ]
    file_report(cast.anna, laboratory, lines)
    shown = {i["analyte"]: i for i in items(as_anna.get("patients/me/results"))}
    critical = shown["calcium_total"]
    assert (critical["state"], critical["tier"]) == ("CRITICAL_HIGH", "urgent")
    for phone in (cast.clinic.phone_day, cast.clinic.phone_24h, "Mon-Fri 08:00-17:00"):
        assert phone in critical["what_to_do"]
    assert "Do not wait for a message here." in critical["what_to_do"]
    for result in shown.values():
        words = f"{result['meaning']} {result['what_to_do']} {result['label']}".lower()
        assert not [promise for promise in PROMISES if promise in words]
        assert "{" not in words
    assert {key: i["tier"] for key, i in shown.items() if i["tier"] == "fine"} == {"ast": "fine"}


def test_analytes_name_what_was_measured_once_each(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    for at in (COLLECTED, COLLECTED - DAY):
        file_report(cast.anna, laboratory, [Line("ast", "20"), Line("alt", "20")], at=at)
    found = items(as_anna.get("patients/me/analytes"))
    assert [entry["key"] for entry in found] == ["alt", "ast"]
    assert found[0]["plain_name"]


# --- links by code ------------------------------------------------------------------------------


@pytest.fixture
def own_provider() -> Iterator[dict[str, Any]]:
    """Put one provider of ours in the place of all others, and put them back."""
    before = dict(links._providers)
    asked: dict[str, Any] = {"times": 0, "requests": []}

    def provider(requests: Any, profile: Any, language: str) -> Any:
        asked["times"] += 1
        asked["requests"] = sorted(requests, key=lambda request: request.code)
        return {
            request: [links.Link("liver-tests", "Liver tests", "/api/v1/x#alt", language)]
            for request in requests
            if request.code == "1742-6"
        }

    links._providers.clear()
    links.register("test", provider)
    yield asked
    links._providers.clear()
    links._providers.update(before)


def test_links_come_through_the_registry_asked_once_a_page(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, own_provider: dict[str, Any]
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20")])
    shown = {i["analyte"]: i for i in items(as_anna.get("patients/me/results"))}
    assert shown["alt"]["links"] == [
        {
            "topic": "liver-tests",
            "title": "Liver tests",
            "href": "/api/v1/x#alt",
            "language": "en",
        }
    ]
    assert shown["ast"]["links"] == []
    assert own_provider["times"] == 1
    assert own_provider["requests"] == [
        links.LinkRequest("1742-6", "HIGH"),
        links.LinkRequest("1920-8", "IN_RANGE"),
    ]


def test_a_failing_provider_leaves_the_results_with_a_warning(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, own_provider: dict[str, Any]
) -> None:
    def broken(requests: Any, profile: Any, language: str) -> Any:
        raise RuntimeError("no articles today")

    links.register("test", broken)
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    for path in ("patients/me/results", f"patients/me/reports/{report.id}"):
        answer = as_anna.get(path).json()
        assert answer["warnings"] == ["links-unavailable"]
        (shown,) = answer.get("items") or answer["results"]
        assert (shown["value"]["text"], shown["links"]) == ("96", [])


# --- conditional reads --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["results", "reports", "analytes/alt/trend"])
def test_an_unchanged_answer_is_304_until_something_new_comes(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, path: str
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "20")])
    first = as_anna.get(f"patients/me/{path}")
    tag = first.headers["ETag"]
    assert "no-store" in first.headers["Cache-Control"]
    again = as_anna.get(f"patients/me/{path}", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    file_report(cast.anna, laboratory, [Line("alt", "21")], at=COLLECTED + DAY)
    changed = as_anna.get(f"patients/me/{path}", **{"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_each_result_has_the_words_of_its_own_state_and_clinic(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    """Words are kept between answers: never those of another state, test or clinic."""
    lines = [Line("alt", "96"), Line("ast", "20"), Line("calcium_total", "14.1")]
    cast.other_clinic.phone_day = "+1 555 0100"
    cast.other_clinic.save()
    for patient in (cast.anna, cast.carla):
        file_report(patient, laboratory, lines)
        file_report(patient, laboratory, [Line("alt", "20"), Line("ast", "90")], at=COLLECTED - DAY)
    for patient, clinic in ((cast.anna, cast.clinic), (cast.carla, cast.other_clinic)) * 2:
        shown = items(api_of(patient.user, "labs.read").get("patients/me/results"))
        contact = Contact(clinic.phone_day, "Mon-Fri 08:00-17:00", clinic.phone_24h)
        assert len({(one["analyte"], one["state"]) for one in shown}) == 5
        for one in shown:
            state = PortalState(one["state"])
            words = text_for(state).filled(contact)
            assert one["label"] == patient_label(state)
            assert (one["meaning"], one["what_to_do"]) == (words.meaning, words.what_to_do)
            assert one["plain_name"] == by_key(one["analyte"]).plain_name
