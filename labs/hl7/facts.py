"""What an ORU^R01 message says, as frozen facts. Filled by `labs.hl7.oru`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from labs.hl7.codes import CodedElement, LoincChoice
from labs.hl7.message import DELETE
from labs.hl7.timestamps import Timestamp


@dataclass(frozen=True, slots=True)
class Identifier:
    value: str
    authority: str
    type: str


@dataclass(frozen=True, slots=True)
class EntityId:
    value: str = ""
    authority: str = ""


NO_ENTITY: Final = EntityId()
NO_TIME: Final = Timestamp()
NO_CODE: Final = CodedElement()


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Who PID says the patient is. `birth_date` is None unless a whole real day was sent."""

    identifiers: tuple[Identifier, ...]
    family: str
    given: str
    birth_date: date | None
    birth_date_raw: str
    sex: str
    raw: str


@dataclass(frozen=True, slots=True)
class ObservationLine:
    """One OBX. `values` are its repetitions as sent; `texts` and `components` are unescaped.

    `plain_decimals`: numbers came with a decimal point by the rules of the format, whatever
    the sender's own habit is. `specimen`: what this line itself names; None = its report's.
    """

    obx_index: int
    set_id: str
    value_type: str
    code: CodedElement
    loinc: LoincChoice | None
    sub_id: str
    values: tuple[str, ...]
    texts: tuple[str, ...]
    components: tuple[tuple[str, ...], ...]
    unit: CodedElement
    range_text: str
    flags: tuple[str, ...]
    status: str
    observed_at: Timestamp
    analysed_at: Timestamp
    method: CodedElement
    performing_lab: str
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    raw_segment: str
    plain_decimals: bool = False
    specimen: "Specimen | None" = None

    @property
    def unit_text(self) -> str:
        return self.unit.code or self.unit.text

    @property
    def unit_system(self) -> str:
        return self.unit.system

    @property
    def value_deleted(self) -> bool:
        """True when the sender wrote two quotes: delete, unlike an empty field (not sent)."""
        return self.values == (DELETE,)


@dataclass(frozen=True, slots=True)
class Specimen:
    type: CodedElement
    identifier: EntityId = NO_ENTITY
    collected_at: Timestamp = NO_TIME
    received_at: Timestamp = NO_TIME
    reject_reason: CodedElement = NO_CODE
    notes: tuple[str, ...] = ()
    observations: tuple[ObservationLine, ...] = ()
    body_site: CodedElement = NO_CODE


NO_SPECIMEN: Final = Specimen(NO_CODE)


@dataclass(frozen=True, slots=True)
class Report:
    """One OBR with what belongs to it. `position` counts OBR through the message."""

    position: int
    set_id: str
    placer: EntityId
    filler: EntityId
    code: CodedElement
    collected_at: Timestamp
    received_at: Timestamp
    result_at: Timestamp
    status: str
    category: str
    specimens: tuple[Specimen, ...]
    notes: tuple[str, ...]
    observations: tuple[ObservationLine, ...]
    faults: tuple[str, ...]
    raw_segment: str

    @property
    def specimen(self) -> Specimen | None:
        return self.specimens[0] if self.specimens else None

    @property
    def lines(self) -> tuple[ObservationLine, ...]:
        """Every OBX: the results, then what is said about the specimens."""
        return (*self.observations, *self.specimen_observations)

    @property
    def specimen_observations(self) -> tuple[ObservationLine, ...]:
        """OBX after an SPM: about the specimen, not about the patient."""
        return tuple(line for specimen in self.specimens for line in specimen.observations)

    def specimens_of(self, line: ObservationLine) -> tuple[Specimen, ...]:
        """Return what `line` may be about: its own specimen, else every one of the report."""
        return self.specimens if line.specimen is None else (line.specimen,)


@dataclass(frozen=True, slots=True)
class PatientGroup:
    """A PID and its reports; `pid` is None for reports that no PID precedes."""

    pid: PatientIdentity | None
    reports: tuple[Report, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OruMessage:
    control_id: str
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    message_at: Timestamp
    version: str
    processing_id: str
    message_type: str
    charset: str
    groups: tuple[PatientGroup, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def reports(self) -> Iterator[Report]:
        return (report for group in self.groups for report in group.reports)

    @property
    def observation_count(self) -> int:
        return sum(len(report.observations) for report in self.reports)


def join_notes(notes: Iterable[str]) -> str:
    """Join comment lines as they came. Nothing is trimmed or glued: whether a break falls inside
    a word cannot be known, so the laboratory's own line stays the line."""
    return "\n".join(notes)


def identity_gaps(pid: PatientIdentity, *, default_authority: str = "") -> tuple[str, ...]:
    """Return what PID lacks for a match (DECISIONS: identifier with authority, name, birth date).

    An identifier made only of zeros names nobody. `default_authority` is the sender's setting
    for identifiers that carry none.
    """
    usable = [found for found in pid.identifiers if found.value.strip("0 ")]
    gaps = (
        ("pid-identifier-missing", not usable),
        (
            "pid-authority-missing",
            bool(usable) and not (default_authority or any(found.authority for found in usable)),
        ),
        ("pid-name-missing", not pid.family.strip()),
        ("pid-birth-date-missing", pid.birth_date is None),
    )
    return tuple(code for code, missing in gaps if missing)
