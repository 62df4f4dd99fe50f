"""The FHIR reader: one body in, the facts of an ORU^R01 out."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.reference_ranges import RangeProblem, ReferenceRange, parse_reference_range
from clinical.result_status import result_status
from clinical.values import ValueKind, parse_value
from labs.fhir.answers import classify_fhir
from labs.fhir.json_text import FhirError, dump, load
from labs.fhir.reader import read_fhir, read_opened
from labs.fhir.results import STATUS
from labs.hl7.facts import ObservationLine, OruMessage
from tests.labs.fhir_bodies import (
    ANNA,
    FLAGS,
    Json,
    annas,
    bundle,
    concept,
    observation,
    patient,
    quantity,
    raw,
    report,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(body: Json | bytes) -> OruMessage:
    return read_fhir(body if isinstance(body, bytes) else raw(body), zone=BERLIN, now=NOW)


def line(**more: Any) -> ObservationLine:
    [found] = [line for r in read(annas(observation(**more))).reports for line in r.observations]
    return found


def refused(body: Json | bytes, code: str) -> None:
    with pytest.raises(FhirError) as caught:
        read(body)
    assert caught.value.code == code


def test_a_bundle_gives_patient_report_and_lines() -> None:
    oru = read(annas(("urn:uuid:o1", observation()), report("urn:uuid:o1")))
    [group] = oru.groups
    assert group.pid is not None
    assert (group.pid.family, group.pid.birth_date, group.pid.sex) == (
        "Testmann", date(1970, 1, 1), "F",
    )  # fmt: skip
    [number] = group.pid.identifiers
    assert (number.authority, number.value) == ("MAINLAB", "900001")
    [made] = group.reports
    assert (made.filler.value, made.status, made.code.code, made.position) == (
        "FL1", "F", "24323-8", 1,
    )  # fmt: skip
    assert made.collected_at.instant == datetime(2026, 11, 20, 7, 15, tzinfo=UTC)
    assert made.result_at.instant == datetime(2026, 11, 20, 9, 25, tzinfo=UTC)
    [result] = made.observations
    assert (result.code.code, result.code.system, result.texts, result.unit_text) == (
        "1742-6", "LN", ("31",), "U/L",
    )  # fmt: skip
    assert (result.range_text, result.status, result.faults) == ("10-40", "F", ())
    assert result.set_id == "Bundle.entry[1].resource"


@pytest.mark.parametrize("number", ["5", "5.0", "5.00", "0.010", "-0.0", "123456789.123456789"])
def test_numbers_keep_their_digits(number: str) -> None:
    body = raw(annas(observation())).replace(b'"value": 31', b'"value": ' + number.encode(), 1)
    [found] = [line for r in read(body).reports for line in r.observations]
    assert found.texts == (number,)
    assert number in found.raw_segment


@pytest.mark.parametrize("number", ["1e999999999", "1E-999999999", "9" * 30, "1e19"])
def test_absurd_numbers_are_words_and_cost_nothing(number: str) -> None:
    body = raw(annas(observation())).replace(b'"value": 31', b'"value": ' + number.encode(), 1)
    [found] = [line for r in read(body).reports for line in r.observations]
    assert len(found.texts[0]) <= 40
    value = parse_value(found.value_type, found.components[0])
    assert value.kind is ValueKind.NON_NUMERIC


@pytest.mark.parametrize("number", ["1e9999999999999999999999", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(number: str) -> None:
    body = raw(annas(observation())).replace(b'"value": 31', b'"value": ' + number.encode(), 1)
    refused(body, "number-invalid")


@pytest.mark.parametrize("comparator", ["<", "<=", ">=", ">"])
def test_a_comparator_stays_before_the_number(comparator: str) -> None:
    found = line(valueQuantity=quantity(5, comparator=comparator))
    value = parse_value(found.value_type, found.components[0])
    assert (found.texts, value.comparator, value.limit) == (
        (f"{comparator}5",), comparator, Decimal(5),
    )  # fmt: skip


@pytest.mark.parametrize("comparator", ["=<", "ad", "~"])
def test_another_comparator_is_refused(comparator: str) -> None:
    refused(
        annas(observation(valueQuantity=quantity(5, comparator=comparator))), "comparator-invalid"
    )


@pytest.mark.parametrize(
    ("element", "kind", "text"),
    [
        ({"valueString": "see note"}, ValueKind.NON_NUMERIC, "see note"),
        ({"valueString": "12.5"}, ValueKind.NUMERIC, "12.5"),
        ({"valueInteger": 7}, ValueKind.NUMERIC, "7"),
        ({"valueBoolean": True}, ValueKind.NON_NUMERIC, "yes"),
        ({"valueCodeableConcept": {"text": "Positive"}}, ValueKind.NON_NUMERIC, "Positive"),
        ({"valueDateTime": "2026-11-20"}, ValueKind.NON_NUMERIC, "2026-11-20"),
        ({"valueRange": {"low": quantity(1), "high": quantity(3)}}, ValueKind.RANGE, "1-3"),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
         ValueKind.NON_NUMERIC, "1:128"),
    ],
)  # fmt: skip
def test_other_values(element: Json, kind: ValueKind, text: str) -> None:
    found = line(valueQuantity=None, **element)
    assert found.texts == (text,)
    assert parse_value(found.value_type, found.components[0]).kind is kind


def test_a_reason_for_no_value_is_no_result() -> None:
    reason = concept("not-performed", "http://terminology.hl7.org/CodeSystem/data-absent-reason")
    found = line(valueQuantity=None, dataAbsentReason=reason)
    assert parse_value(found.value_type, found.components[0]).no_result is not None


@pytest.mark.parametrize("said", ["12", "385432009", "<40", "7-35"])
@pytest.mark.parametrize("where", ["code", "text"])
def test_a_reason_for_no_value_is_never_a_number(said: str, where: str) -> None:
    """Code systems have numeric codes (SNOMED CT 385432009 says "not applicable")."""
    reason = concept(said, "http://snomed.info/sct") if where == "code" else {"text": said}
    found = line(valueQuantity=None, dataAbsentReason=reason)
    value = parse_value(found.value_type, found.components[0])
    assert (value.kind, value.interval) == (ValueKind.NON_NUMERIC, None)
    assert value.raw == said


def test_a_range_that_must_not_be_read_without_its_extension_is_no_range() -> None:
    usual = {"low": quantity(10), "high": quantity(40)}
    extension = [{"url": "http://example.org/not-a-range", "valueBoolean": True}]
    found = line(referenceRange=[{**usual, "modifierExtension": extension}])
    assert isinstance(parse_reference_range(found.range_text), RangeProblem)
    read = parse_reference_range(line(referenceRange=[usual]).range_text)
    assert isinstance(read, ReferenceRange)


def test_a_quantity_without_a_number_is_absent() -> None:
    assert line(valueQuantity={"unit": "U/L"}).components == ()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"valueString": "x"}, "several-values"),
        ({"dataAbsentReason": {"text": "x"}}, "value-and-reason"),
        ({"valueQuantity": {"value": "31"}}, "element-invalid"),
        ({"valueQuantity": None, "valueThing": "x"}, "value-type-invalid"),
        ({"status": None}, "element-missing"),
        ({"status": "done"}, "status-invalid"),
        ({"code": None}, "element-missing"),
        ({"referenceRange": []}, "element-empty"),
        ({"interpretation": [{}]}, "element-empty"),
        ({"effectiveDateTime": "2025-13-45"}, "date-invalid"),
        ({"effectiveDateTime": "yesterday"}, "date-invalid"),
        ({"effectiveDateTime": "2026-11-20T08:15:00"}, "date-invalid"),
        ({"issued": "2026-02-30T08:15:00Z"}, "date-invalid"),
        ({"subject": {"reference": "Practitioner/p1"}}, "subject-not-patient"),
        ({"subject": None}, "no-pid"),
        ({"note": [{"text": "a\x00b"}]}, "string-invalid"),
        ({"note": [{"text": "\ud800"}]}, "string-invalid"),
        ({"note": "text"}, "element-invalid"),
    ],
)
def test_invalid_content_is_refused(more: Json, code: str) -> None:
    refused(annas(observation(**more)), code)


def test_a_year_long_ago_or_to_come_leaves_no_usable_time() -> None:
    assert line(effectiveDateTime="0001-01-01").observed_at.faults == ("time-year",)
    assert line(effectiveDateTime="2031-01-01").observed_at.faults == ("time-future",)


def test_a_body_read_for_no_time_is_read_anew_for_one() -> None:
    opened = read_opened(
        raw(annas(observation(effectiveDateTime="2199-01-01T08:00:00Z"))), now=None
    )
    for now, faults in ((None, ()), (NOW, ("time-future",))):
        [found] = opened.facts_in(BERLIN, now).reports
        assert found.observations[0].observed_at.faults == faults


def test_a_period_counts_from_its_start() -> None:
    period = {"start": "2026-11-19T08:00:00Z", "end": "2026-11-20T08:00:00Z"}
    found = line(effectiveDateTime=None, effectivePeriod=period)
    assert found.observed_at.instant == datetime(2026, 11, 19, 8, tzinfo=UTC)


@pytest.mark.parametrize("word", [w for w, letter in STATUS.items() if letter and letter != "I"])
def test_status_words_mean_what_the_status_map_says(word: str) -> None:
    assert result_status(line(status=word).status).fhir_status == word


def test_a_registered_result_is_pending_and_an_unknown_status_waits() -> None:
    assert line(status="registered").status == "I"
    assert "status-unknown" in line(status="unknown").faults


@pytest.mark.parametrize(
    ("ranges", "low", "high"),
    [
        ([{"low": quantity("L"), "high": quantity("H")}], "8.6", "10.2"),
        ([{"low": quantity("L")}], "8.6", None),
        ([{"high": quantity("H")}], None, "10.2"),
        ([{"text": "8.6 - 10.2"}], "8.6", "10.2"),
        ([{"high": quantity("H"), "type": concept("normal", "urn:x")}], None, "10.2"),
    ],
)
def test_one_range_is_read_with_its_bounds_inside(
    ranges: list[Json], low: str | None, high: str | None
) -> None:
    body = raw(annas(observation(referenceRange=ranges)))
    body = body.replace(b'"value": "L"', b'"value": 8.6').replace(b'"value": "H"', b'"value": 10.2')
    [found] = [line for r in read(body).reports for line in r.observations]
    made = parse_reference_range(found.range_text)
    assert isinstance(made, ReferenceRange)
    assert (made.low, made.high) == (low and Decimal(low), high and Decimal(high))
    assert made.low_inclusive
    assert made.high_inclusive


@pytest.mark.parametrize(
    "ranges",
    [
        [{"low": quantity(1), "high": quantity(2)}, {"low": quantity(3), "high": quantity(4)}],
        [{"low": quantity(1)}, {"text": "mg/dL"}],
        [{"low": quantity(1), "high": quantity(2), "appliesTo": [{"text": "men"}]}],
        [{"low": quantity(1), "high": quantity(2), "age": {"low": quantity(18)}}],
        [{"low": quantity(1), "high": quantity(2), "type": concept("therapeutic", "urn:x")}],
        [{"low": quantity(1), "high": quantity(2, "mg/dL")}],
        [{"low": {"unit": "U/L"}, "high": quantity(2)}],
        [{"high": quantity(2, comparator="<")}],
        [{"low": quantity(9), "high": quantity(2)}],
        [{"text": "see below"}],
    ],
)
def test_any_other_range_is_no_range(ranges: list[Json]) -> None:
    assert isinstance(parse_reference_range(line(referenceRange=ranges).range_text), RangeProblem)


def test_a_range_in_another_unit_says_so() -> None:
    found = line(referenceRange=[{"low": quantity(1, "mg/dL"), "high": quantity(2, "mg/dL")}])
    made = parse_reference_range(found.range_text)
    assert isinstance(made, ReferenceRange)
    assert made.unit is not None


def test_flags_are_codes_or_stay_as_sent() -> None:
    sent = [concept("HH", FLAGS), {"text": "odd"}, concept("Z9", "urn:own")]
    assert line(interpretation=sent).flags == ("HH", "odd", "Z9")


def test_loinc_comes_first_and_two_are_a_conflict() -> None:
    both = {"coding": [{"system": "urn:own", "code": "X1"}, *concept("1742-6")["coding"]]}
    found = line(code=both)
    assert found.loinc is not None
    assert (found.loinc.code, found.code.alt_code) == ("1742-6", "X1")
    two = {"coding": concept("1742-6")["coding"] + concept("1751-7")["coding"]}
    assert "loinc-conflict" in line(code=two).faults


def test_a_unit_without_a_ucum_code_is_text() -> None:
    found = line(valueQuantity={"value": 7, "unit": "mg/dL", "system": "urn:own", "code": "x"})
    assert found.unit_text == "mg/dL"


def test_components_are_lines_of_their_own() -> None:
    parts = [{"code": concept("1751-7"), "valueQuantity": quantity(4, "g/dL")},
             {"code": concept("1975-2"), "valueString": "pending"}]  # fmt: skip
    [made] = read(annas(observation(valueQuantity=None, component=parts))).reports
    assert [found.code.code for found in made.observations] == ["1751-7", "1975-2"]
    assert [found.obx_index for found in made.observations] == [1, 2]
    assert made.observations[1].set_id == "Bundle.entry[1].resource.component[1]"


def test_members_of_a_panel_belong_to_it_and_circles_end() -> None:
    panel = observation(
        valueQuantity=None, code="24323-8", id="p",
        hasMember=[{"reference": "Observation/a"}, {"reference": "Observation/p"}],
    )  # fmt: skip
    [made] = read(annas(observation(id="a"), panel)).reports
    assert (made.code.code, [found.texts for found in made.observations]) == (
        "24323-8", [("31",)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "reference"),
    [
        ("urn:uuid:p", "urn:uuid:p"),
        ("https://lab.example/fhir/Patient/p", "Patient/p"),
        ("https://lab.example/fhir/Patient/p", "https://lab.example/fhir/Patient/p"),
        ("https://lab.example/fhir/Patient/p", "Patient/p/_history/2"),
        ("", "Patient/p"),
    ],
)
def test_references_inside_the_bundle(address: str, reference: str) -> None:
    held = patient(id="p")
    oru = read(bundle((address, held), observation(subject={"reference": reference})))
    assert [group.pid and group.pid.family for group in oru.groups] == ["Testmann"]


def test_contained_resources_are_found_from_where_they_are_contained() -> None:
    held = [patient(id="p"), observation(id="o", subject={"reference": "#p"})]
    body = report("#o", subject={"reference": "#p"}, contained=held)
    [group] = read(body).groups
    assert group.pid is not None
    assert [found.texts for found in group.reports[0].observations] == [("31",)]


def test_a_contained_patient_is_not_everybodys() -> None:
    held = report("#o", subject={"reference": "#p"}, contained=[patient(id="p")])
    oru = read(bundle(held, observation(subject={"reference": "#p"})))
    assert None in [group.pid for group in oru.groups]


def test_a_bare_number_names_nobody_completely() -> None:
    subject = {"identifier": {"system": "MAINLAB", "value": "900001"}}
    [group] = read(bundle(observation(subject=subject))).groups
    assert group.pid is not None
    assert (group.pid.family, group.pid.birth_date) == ("", None)


def test_a_reference_that_resolves_nowhere_names_nobody_and_is_kept() -> None:
    [group] = read(bundle(observation())).groups
    assert group.pid is None
    [made] = read(annas(report("urn:uuid:nowhere"))).reports
    assert made.observations[0].faults == ("reference-unresolved",)


def test_a_relative_reference_that_fits_two_servers_names_nobody() -> None:
    def of_servers(*hosts: str) -> Json:
        people = [
            (f"https://{host}.example/Patient/1", patient(f"90000{number}"))
            for number, host in enumerate(hosts, start=1)
        ]
        return bundle(*people, observation(subject={"reference": "Patient/1"}))

    [group] = read(of_servers("a")).groups
    assert group.pid is not None
    assert [number.value for number in group.pid.identifiers] == ["900001"]
    assert [group.pid for group in read(of_servers("a", "b")).groups] == [None]


def test_a_result_of_another_patient_leaves_its_report() -> None:
    other = ("urn:uuid:b", patient("900002", "Other"))
    mixed = ("urn:uuid:o2", observation(subject={"reference": "urn:uuid:b"}))
    mine = ("urn:uuid:o1", observation())
    oru = read(annas(other, mine, mixed, report("urn:uuid:o1", "urn:uuid:o2")))
    by_family = {
        group.pid.family if group.pid else "": sum(len(r.observations) for r in group.reports)
        for group in oru.groups
    }
    assert by_family == {"Testmann": 1, "": 1}


def test_two_patients_in_one_bundle_have_groups_of_their_own() -> None:
    other = ("urn:uuid:b", patient("900002", "Other"))
    oru = read(annas(other, observation(), observation(subject={"reference": "urn:uuid:b"})))
    assert [group.pid and group.pid.family for group in oru.groups] == ["Testmann", "Other"]


def test_an_old_number_is_not_used() -> None:
    old = [{"system": "MAINLAB", "value": "900001", "use": "old"}]
    [group] = read(bundle((ANNA, patient(identifier=old)), observation())).groups
    assert group.pid is not None
    assert group.pid.identifiers == ()


def test_what_may_not_be_read_without_its_extensions_is_not_read() -> None:
    assert "modifier-extension" in line(modifierExtension=[{"url": "urn:x"}]).faults


def test_a_withdrawn_report_withdraws_its_results() -> None:
    body = annas(("urn:uuid:o", observation()), report("urn:uuid:o", status="entered-in-error"))
    assert [found.status for found in next(read(body).reports).observations] == ["D"]
    [alone] = read(annas(report(status="entered-in-error"))).reports
    assert alone.observations[0].faults == ("report-withdrawn",)


@pytest.mark.parametrize(("word", "letter"), [("registered", "O"), ("cancelled", "X")])
def test_a_report_alone_can_say_pending_or_cancelled(word: str, letter: str) -> None:
    [made] = read(annas(report(status=word))).reports
    assert (made.status, made.observations) == (letter, ())


def test_vital_signs_are_not_laboratory_results() -> None:
    vital = observation(category=[concept("vital-signs", "urn:x")])
    assert read(annas(vital, observation())).observation_count == 1
    refused(annas(vital), "nothing-usable")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "json-invalid"),
        (b"[]", "json-invalid"),
        (b"\xff\xfe", "json-invalid"),
        (b'{"resourceType": "Bundle", "a\x00": 1}', "json-invalid"),
        (b'{"resourceType": "Bundle", "resourceType": "Bundle"}', "json-duplicate-key"),
        (b'{"id": "x"}', "resource-type-missing"),
        (b'{"resourceType": "Patient"}', "not-supported"),
        (b'{"resourceType": "Bundle", "type": "document"}', "not-supported"),
        (b'{"resourceType": "Bundle", "type": "collection"}', "nothing-usable"),
        (b'{"resourceType": "Bundle", "type": "collection", "entry": []}', "element-empty"),
        (b'{"a":' * 100_000, "json-too-deep"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "json-too-deep"),
    ],
)  # fmt: skip
def test_bodies_nobody_can_use(body: bytes, code: str) -> None:
    refused(body, code)


def test_an_id_twice_in_a_bundle_is_refused() -> None:
    refused(annas(observation(id="o"), observation(8, id="o")), "bundle-duplicate-id")
    refused(annas(("urn:uuid:o", observation()), ("urn:uuid:o", observation(8))),
            "bundle-duplicate-id")  # fmt: skip


def test_a_bundle_that_deletes_is_refused() -> None:
    body = annas(observation(), kind="transaction")
    body["entry"][1]["request"]["method"] = "DELETE"
    refused(body, "entry-not-supported")


def test_the_reading_of_a_number_is_written_back_unchanged() -> None:
    text = b'{"a":[1.10,{"b":true}],"c":"\xc3\xa9"}'
    assert dump(load(text)).encode() == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({*observation(), *report("x"), "component", "hasMember", "note", "specimen",
                "interpretation", "meta", "valueString", "contained", "performer"})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4), st.booleans())
def test_no_content_breaks_the_reader(broken: Json, as_report: bool) -> None:
    held = (report("urn:uuid:o") if as_report else observation()) | broken
    body = raw(annas(("urn:uuid:o", observation()), held))
    assert classify_fhir(body).disposition in {"accept", "refused", "test-area"}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda found: raw(found)))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    assert classify_fhir(body).disposition == "refused"
