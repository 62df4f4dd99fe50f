"""Which version counts: the rule alone, then through the database."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import audit
from core.db import Identity, identity, system
from core.models import Change, Event
from labs.models import DiagnosticReport, IntakeItem, Observation
from labs.services.versions import Standing, VersionFacts, standing
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from worklist.models import Evidence, WorkItem

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)


def facts(status: str, minutes: int | None, content: str = "") -> VersionFacts:
    at = None if minutes is None else T0 + timedelta(minutes=minutes)
    return VersionFacts(status, at, content or f"{status}{minutes}")


@pytest.mark.parametrize(
    ("arriving", "stored", "expected"),
    [
        (facts("F", 10), facts("P", 10), Standing.REPLACES),
        (facts("F", 9), facts("P", 10), Standing.REPLACES),
        (facts("P", 10), facts("F", 10), Standing.STALE),
        (facts("P", 9), facts("F", 10), Standing.STALE),
        (facts("P", 11), facts("F", 10), Standing.STALE),
        (facts("C", 11), facts("F", 10), Standing.REPLACES),
        (facts("C", 10), facts("F", 10), Standing.REPLACES),
        (facts("C", 9), facts("F", 10), Standing.STALE),
        (facts("F", 9), facts("C", 10), Standing.STALE),
        (facts("F", 10), facts("C", 10), Standing.STALE),
        (facts("F", 11), facts("C", 10), Standing.REPLACES),
        (facts("F", 10, "other"), facts("F", 10), Standing.REPLACES),
        (facts("F", None, "other"), facts("F", 10), Standing.REPLACES),
        (facts("P", None), facts("F", None), Standing.STALE),
        (facts("W", 11), facts("C", 10), Standing.REPLACES),
        (facts("F", 10), facts("W", 11), Standing.STALE),
        (facts("I", 11), facts("P", 10), Standing.REPLACES),
        (facts("X", 11), facts("F", 10), Standing.REPLACES),
        (facts("F", 10), facts("F", 10), Standing.UNCHANGED),
    ],
)
def test_one_arriving_against_one_stored(
    arriving: VersionFacts, stored: VersionFacts, expected: Standing
) -> None:
    assert standing(arriving, [stored], 0) is expected


def test_content_that_was_replaced_already_is_no_new_version() -> None:
    old, new = facts("F", 10), facts("C", 12)
    assert standing(old, [old, new], 1) is Standing.UNCHANGED


def test_the_first_one_is_new() -> None:
    assert standing(facts("P", 1), [], 0) is Standing.NEW


@given(
    st.lists(
        st.tuples(st.sampled_from("IPRSFCAXDW"), st.integers(0, 500)),
        min_size=2,
        max_size=6,
        unique_by=lambda entry: entry[1],
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(
    entries: list[tuple[str, int]], random: object
) -> None:
    def winner(order: list[tuple[str, int]]) -> VersionFacts:
        stored: list[VersionFacts] = []
        current = 0
        for status, minutes in order:
            arriving = facts(status, minutes)
            found = standing(arriving, stored, current)
            stored.append(arriving)
            if found in (Standing.NEW, Standing.REPLACES):
                current = len(stored) - 1
        return stored[current]

    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert winner(shuffled) == winner(entries)


# --- through the database ---------------------------------------------------------------


@pytest.fixture
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


def minutes(number: int) -> str:
    return (T0 + timedelta(minutes=number)).strftime("%Y%m%d%H%M%S+0000")


def file(now: datetime, value: str, status: str, at: int, **line: str) -> None:
    send(oru(Obr([Obx(value, status=status, **line)], resulted=minutes(at), status=status)), now)


def current() -> Observation:
    with identity(system("lab-intake")):
        return Observation.objects.get(superseded_at__isnull=True)


def seen_by_anna(cast: Cast) -> list[str]:
    who = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"labs"}))
    with identity(who):
        return [row.value_text for row in Observation.objects.order_by("version")]


@pytest.mark.django_db
def test_a_correction_is_a_new_version_and_the_old_value_stays_readable(
    cast: Cast, lab: None, now: datetime
) -> None:
    file(now, "31", "F", 0)
    first = current()
    file(now, "130", "C", 5)
    second = current()
    assert (second.version, second.supersedes_id, second.status) == (2, first.id, "corrected")
    assert second.state == "HIGH"
    assert seen_by_anna(cast) == ["31", "130"]
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
        assert (report.version, report.corrected) == (2, True)
        assert [event.payload["corrected"] for event in Event.objects.order_by("id")] == [
            False,
            True,
        ]
        kinds = Change.objects.filter(resource="Observation").values_list("resource_id", "kind")
        assert list(kinds.order_by("id")) == [
            (first.id, "upsert"),
            (first.id, "gone"),
            (second.id, "upsert"),
        ]


@pytest.mark.django_db
def test_the_same_content_in_another_message_is_no_new_version(lab: None, now: datetime) -> None:
    file(now, "31", "F", 0)
    file(now, "31", "F", 0)
    assert current().version == 1
    with identity(system("lab-intake")):
        assert Event.objects.count() == 1
        assert DiagnosticReport.objects.get().version == 1


@pytest.mark.django_db
def test_an_older_version_is_history_that_she_never_sees(
    cast: Cast, lab: None, now: datetime
) -> None:
    file(now, "130", "F", 5)
    file(now, "31", "F", 0)
    assert current().value_text == "130"
    assert seen_by_anna(cast) == ["130"]
    with identity(system("lab-intake")):
        late = Observation.objects.get(value_text="31")
        assert (late.is_stale, late.visible_from) == (True, None)
        assert Event.objects.count() == 1


@pytest.mark.django_db
def test_an_unfinished_result_after_the_final_one_goes_to_a_person(
    lab: None, now: datetime
) -> None:
    file(now, "31", "F", 0)
    file(now, "99", "P", 5)
    assert current().value_text == "31"
    with identity(system("lab-intake")):
        assert IntakeItem.objects.get().reason == "preliminary-after-final"


@pytest.mark.django_db
def test_six_messages_end_alike_in_any_order(cast: Cast, lab: None, now: datetime) -> None:
    story = [
        ("1", "P", 0),
        ("2", "P", 1),
        ("3", "F", 2),
        ("4", "F", 3),
        ("5", "C", 4),
        ("6", "P", 5),
    ]
    orders = list(permutations(story))[::90]
    assert len(orders) == 8
    for number, order in enumerate(orders):
        for value, status, at in order:
            obr = Obr([Obx(value, status=status)], filler=f"FL{number}", resulted=minutes(at))
            send(oru(obr), now)
    with identity(system("lab-intake")):
        counting = Observation.objects.filter(superseded_at__isnull=True)
        assert {row.value_text for row in counting} == {"5"}
        assert counting.count() == 8
        assert Observation.objects.count() == 48


@pytest.mark.django_db
def test_wrong_patient_hides_at_once_and_names_who_saw_it(
    cast: Cast, lab: None, now: datetime
) -> None:
    file(now, "31", "F", 0)
    shown = current()
    who = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"labs"}))
    with identity(who):
        audit.record(
            action="R", operation="labs.results.list", now=now, area="labs",
            resource="Observation", resource_ids=[shown.id],
        )  # fmt: skip
    file(now, "31", "W", 5)
    assert seen_by_anna(cast) == []
    row = current()
    assert (row.state, row.status, row.visible_from) == ("RETRACTED", "entered-in-error", None)
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
        assert (report.status, report.visible_from) == ("entered-in-error", None)
        gone = Change.objects.filter(kind="gone").values_list("resource", "resource_id")
        assert set(gone) == {("Observation", shown.id), ("DiagnosticReport", report.id)}
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="privacy")
        evidence = Evidence.objects.filter(item=item).values_list("kind", "reference")
        assert set(evidence) == {("observation", shown.id), ("viewer", cast.anna_user.pk)}


@pytest.mark.django_db
def test_a_deleted_result_hides_without_an_incident(cast: Cast, lab: None, now: datetime) -> None:
    file(now, "31", "F", 0)
    file(now, '""', "D", 5)
    assert seen_by_anna(cast) == []
    with identity(system("worklist")):
        assert not WorkItem.objects.filter(concern="privacy").exists()


@pytest.mark.django_db
def test_a_cancelled_result_is_shown_and_leaves_open_items_open(
    cast: Cast, lab: None, now: datetime
) -> None:
    file(now, "1000", "F", 0, flag="HH")
    file(now, "", "X", 5)
    assert current().state == "CANCELLED"
    assert seen_by_anna(cast) == ["1000", ""]
    with identity(system("worklist")):
        assert WorkItem.objects.get(concern="liver").closed_at is None


@pytest.mark.django_db
def test_final_without_values_promotes_the_stored_early_result(
    cast: Cast, lab: None, now: datetime
) -> None:
    file(now, "55", "P", 0)
    assert seen_by_anna(cast) == []
    file(now, "", "U", 5, unit="", range="")
    row = current()
    assert (row.value_text, row.status, row.state, row.unit_text) == ("55", "final", "HIGH", "U/L")
    assert seen_by_anna(cast) == ["55"]


@pytest.mark.django_db
def test_final_without_values_and_nothing_stored_is_queued(lab: None, now: datetime) -> None:
    answer = send(oru(Obr([Obx("", status="U")])), now)
    assert (answer.disposition, answer.reasons) == ("queued", ("nothing-stored",))


@pytest.mark.django_db
def test_an_appended_comment_keeps_value_and_earlier_comment(lab: None, now: datetime) -> None:
    send(oru(Obr([Obx("55", notes=["first"])], resulted=minutes(0))), now)
    send(oru(Obr([Obx("", status="B", notes=["second"])], resulted=minutes(5))), now)
    row = current()
    assert (row.value_text, row.status, row.lab_comment) == ("55", "final", "first\nsecond")


@pytest.mark.django_db
def test_verified_without_change_is_no_new_version(lab: None, now: datetime) -> None:
    file(now, "55", "F", 0)
    file(now, "55", "V", 5)
    assert current().version == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["N", "O"])
def test_not_asked_and_order_detail_are_no_results(lab: None, now: datetime, status: str) -> None:
    file(now, "55", status, 0)
    with identity(system("lab-intake")):
        assert not Observation.objects.exists()
        assert not DiagnosticReport.objects.exists()


@pytest.mark.django_db
def test_a_pending_result_is_shown_as_such(cast: Cast, lab: None, now: datetime) -> None:
    file(now, "", "I", 0)
    assert current().state == "PENDING"
    assert seen_by_anna(cast) == [""]


@pytest.mark.django_db
def test_two_values_of_one_code_are_two_results_for_a_person_to_check(
    lab: None, now: datetime
) -> None:
    send(oru(Obr([Obx("31"), Obx("33"), Obx("31")])), now)
    with identity(system("lab-intake")):
        assert sorted(Observation.objects.values_list("value_text", flat=True)) == ["31", "33"]
        assert [item.reason for item in IntakeItem.objects.all()] == ["repeated-result"]
    answer = send(oru(Obr([Obx("35", status="C")], resulted=minutes(900))), now)
    assert answer.reasons == ("repeated-result",)


@pytest.mark.django_db
def test_sub_ids_and_specimens_keep_results_apart(lab: None, now: datetime) -> None:
    send(oru(Obr([Obx("31", sub_id="1"), Obx("33", sub_id="2")])), now)
    send(oru(Obr([Obx("35", sub_id="1")], specimen="S2")), now)
    with identity(system("lab-intake")):
        assert Observation.objects.filter(superseded_at__isnull=True).count() == 3


SEEN = Obx("31")
LATER = "20261120112500+0100"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (Obx("32", status="C"), True),
        (Obx("31", unit="ukat/L", status="C"), True),
        (Obx("31", range="10-35", status="C"), True),
        (Obx("31", range="10-30", status="C"), True),
        (Obx("31", flag="H", status="C"), True),
        (Obx("31", status="C"), False),
    ],
    ids=["value", "unit", "range", "state", "flag", "nothing but the status"],
)
def test_whatever_reads_differently_is_told_as_a_correction(
    cast: Cast, now: datetime, sent: Obx, told: bool
) -> None:
    laboratory(cast.clinic)
    send(oru(Obr([SEEN])), now)
    send(oru(Obr([sent], resulted=LATER)), now)
    with identity(system("events")):
        events = list(Event.objects.filter(type="labs.result.filed").order_by("id"))
    assert [event.payload["corrected"] for event in events] == [False, told]
