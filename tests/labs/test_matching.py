"""Whose results they are. Every doubt is a queue, never a patient."""

from datetime import date, datetime

import pytest
from django.db import IntegrityError, transaction

from core.db import identity, system
from labs.models import IntakeItem, MatchDecision, Observation, SendingLaboratory
from patients.models import Patient, PatientIdentifier
from tests.cast import START, Cast
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


def pid(
    number: str = "900001^^^MAINLAB^MR",
    name: str = "TESTMANN^ANNA",
    born: str = "19700101",
    sex: str = "F",
) -> str:
    return f"PID|1||{number}||{name}||{born}|{sex}"


def file(now: datetime, who: str, flag: str = "") -> tuple[str, ...]:
    return send(oru(Obr([Obx("31", flag=flag)]), pid=who), now).reasons


def owners() -> set[str]:
    with identity(system("lab-intake")):
        return {str(key) for key in Observation.objects.values_list("patient_id", flat=True)}


@pytest.mark.parametrize(
    "who",
    [
        pid(),
        pid(name="testmann^Someone Else"),
        pid(name="Test-Mann^ANNA"),
        pid(sex=""),
        pid(sex="U"),
        pid(number="77^^^ELSEWHERE^PI~900001^^^MAINLAB^MR"),
        pid(number="900001^^^MAINLAB&1.2.3&ISO^MR"),
    ],
)
def test_number_birth_date_and_family_name_agree(cast: Cast, now: datetime, who: str) -> None:
    laboratory(cast.clinic)
    assert file(now, who) == ()
    assert owners() == {str(cast.anna.id)}


@pytest.mark.parametrize(
    ("who", "reasons"),
    [
        (pid(number="900001"), ("pid-authority-missing",)),
        (pid(number="0^^^MAINLAB^MR"), ("pid-identifier-missing",)),
        (pid(number=""), ("pid-identifier-missing",)),
        (pid(name=""), ("pid-name-missing",)),
        (pid(name="...^ANNA"), ("pid-name-missing",)),
        (pid(born=""), ("pid-birth-date-missing",)),
        (pid(born="1970"), ("pid-birth-date-missing",)),
        (pid(number="900999^^^MAINLAB^MR"), ("unknown-patient",)),
        (pid(number="900001^^^OTHER^MR"), ("unknown-patient",)),
        (pid(name="PROBE^ANNA"), ("name-differs",)),
        (pid(born="19700102"), ("birth-date-differs",)),
        (pid(name="PROBE^BRIGID", born="19650505"), ("name-differs", "birth-date-differs")),
        (pid(sex="M"), ("sex-differs",)),
        (
            pid(number="900001^^^MAINLAB^MR~900002^^^MAINLAB^MR"),
            ("identifiers-disagree",),
        ),
    ],
)
def test_any_doubt_is_a_queue(
    cast: Cast, now: datetime, who: str, reasons: tuple[str, ...]
) -> None:
    laboratory(cast.clinic)
    assert file(now, who) == reasons
    assert owners() == set()
    with identity(system("lab-intake")):
        items = list(IntakeItem.objects.all())
        assert {item.reason for item in items} == set(reasons)
        assert all(bytes(item.segment).startswith(b"PID|") for item in items)


def twin(cast: Cast, *, active: bool = True, family: str = "Testmann") -> None:
    with identity(system("registration")):
        Patient.objects.create(
            family_name=family, given_name="Anja", birth_date=date(1970, 1, 1),
            registered_at=START, is_active=active,
        )  # fmt: skip


def test_a_look_alike_locks_the_match(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    twin(cast)
    assert file(now, pid()) == ("look-alike",)
    assert owners() == set()


def test_an_inactive_look_alike_does_not(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    twin(cast, active=False)
    assert file(now, pid()) == ()


def test_an_inactive_patient_gets_nothing(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(is_active=False)
    assert file(now, pid()) == ("unknown-patient",)


def test_an_expired_number_names_nobody(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    with identity(system("registration")):
        PatientIdentifier.objects.filter(patient=cast.anna).update(valid_until=now)
    assert file(now, pid()) == ("unknown-patient",)


def test_the_senders_default_authority_completes_a_number(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, default_authority="MAINLAB")
    assert file(now, pid(number="900001")) == ()


def test_a_sender_uses_only_the_authorities_it_may(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, allowed_authorities=["ELSEWHERE"])
    assert file(now, pid()) == ("authority-not-allowed",)


def decide(cast: Cast, lab: SendingLaboratory, now: datetime, **changes: object) -> MatchDecision:
    values: dict[str, object] = {
        "laboratory": lab, "authority": "MAINLAB", "identifier": "900001",
        "family_name_key": "testfrau", "birth_date": date(1970, 1, 1), "patient": cast.anna,
        "reason": "Her married name, confirmed by telephone.",
        "decided_by": cast.lab, "decided_at": now, "confirmed_by": cast.nurse,
        "confirmed_at": now,
    }  # fmt: skip
    with identity(system("lab-intake")):
        return MatchDecision.objects.create(**{**values, **changes})


MARRIED = pid(name="TESTFRAU^ANNA")


def test_a_decision_of_two_people_holds_for_the_identical_particulars(
    cast: Cast, now: datetime
) -> None:
    decide(cast, laboratory(cast.clinic), now)
    assert file(now, MARRIED) == ()
    assert owners() == {str(cast.anna.id)}
    assert file(now, pid(name="TESTFRAUEN^ANNA")) == ("name-differs",)
    assert file(now, pid(name="TESTFRAU^ANNA", born="19700102")) == (
        "name-differs",
        "birth-date-differs",
    )


@pytest.mark.parametrize(
    "changes",
    [{"confirmed_by": None, "confirmed_at": None}, {"revoked": True}],
)
def test_an_unconfirmed_or_revoked_decision_holds_for_nothing(
    cast: Cast, now: datetime, changes: dict[str, object]
) -> None:
    if changes.pop("revoked", False):
        changes |= {
            "revoked_by": cast.nurse, "revoked_at": now, "revocation_reason": "A mix-up.",
        }  # fmt: skip
    decide(cast, laboratory(cast.clinic), now, **changes)
    assert file(now, MARRIED) == ("name-differs",)


def test_a_decision_never_overrides_the_look_alike_lock(cast: Cast, now: datetime) -> None:
    decide(cast, laboratory(cast.clinic), now)
    twin(cast)
    assert "look-alike" in file(now, MARRIED)
    assert owners() == set()


def test_a_decision_yields_to_another_patient_of_the_name_sent(cast: Cast, now: datetime) -> None:
    decide(cast, laboratory(cast.clinic), now)
    twin(cast, family="Testfrau")
    assert file(now, MARRIED) == ("look-alike",)
    assert owners() == set()


def test_a_decision_needs_two_people(cast: Cast, now: datetime) -> None:
    lab = laboratory(cast.clinic)
    with pytest.raises(IntegrityError), transaction.atomic():
        decide(cast, lab, now, confirmed_by=cast.lab)


def test_a_critical_result_without_a_patient_is_a_work_item_of_the_laboratory(
    cast: Cast, now: datetime
) -> None:
    laboratory(cast.clinic)
    file(now, pid(number="900999^^^MAINLAB^MR"), flag="HH")
    with identity(system("worklist")):
        item = WorkItem.objects.get()
        assert (item.patient_id, item.concern, item.urgency, item.owner_team) == (
            None,
            "intake.unmatched",
            "EMERGENCY",
            "laboratory",
        )


def test_several_patients_of_one_message_each_get_their_own(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    brigid = pid(number="900002^^^MAINLAB^MR", name="PROBE^BRIGID", born="19650505")
    stranger = pid(number="900999^^^MAINLAB^MR")
    answer = send(oru(Obr([Obx("31")]), brigid, Obr([Obx("32")]), stranger, Obr([Obx("33")])), now)
    assert (answer.disposition, answer.reasons) == ("stored", ("unknown-patient",))
    with identity(system("lab-intake")):
        found = dict(Observation.objects.values_list("value_text", "patient_id"))
    assert found == {"31": cast.anna.id, "32": cast.brigid.id}
