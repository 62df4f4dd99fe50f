"""Read a FHIR R4 Bundle, DiagnosticReport or Observation into the facts an ORU^R01 gives.

Source: FHIR R4 (Bundle, DiagnosticReport, Observation, Patient, Specimen).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from clinical.report_kinds import (
    LABORATORY_CATEGORIES,
    NARRATIVE_CATEGORIES,
)
from labs.fhir.documents import WholeReport, conclusion_line, document_lines
from labs.fhir.elements import Clock, Node, coded, codings, entity, first_entity, moment
from labs.fhir.json_text import FhirError, load
from labs.fhir.people import Subject, Subjects
from labs.fhir.references import Resources, as_resource
from labs.fhir.results import (
    code_of,
    effective,
    lines_of,
    modified,
    refused_line,
    status_of,
)
from labs.hl7.facts import (
    NO_CODE,
    NO_ENTITY,
    NO_SPECIMEN,
    NO_TIME,
    EntityId,
    ObservationLine,
    OruMessage,
    PatientGroup,
    PatientIdentity,
    Report,
    Specimen,
)
from labs.hl7.timestamps import Timestamp

MAX_ENTRIES: Final = 10_000
SUPPORTED: Final = frozenset({"Bundle", "DiagnosticReport", "Observation"})
_BUNDLES: Final = frozenset({"transaction", "batch", "collection"})
# A report's status in the letters of OBR-25. A withdrawn report speaks through its results.
_REPORT_STATUS: Final = {
    "registered": "O",
    "partial": "A",
    "preliminary": "P",
    "final": "F",
    "amended": "C",
    "corrected": "C",
    "appended": "F",
    "cancelled": "X",
    "entered-in-error": "",
    "unknown": "",
}
_TELLS_SOMETHING_ALONE: Final = frozenset({"O", "X"})
_REPORTED: Final = LABORATORY_CATEGORIES | NARRATIVE_CATEGORIES
_MEASURED: Final = LABORATORY_CATEGORIES | {"SP", "CP"}


@dataclass(frozen=True, slots=True)
class Body:
    """What was posted: the resource itself and the resources it holds, each with its address."""

    root: Node
    entries: tuple[tuple[str, Node], ...]

    @property
    def results(self) -> list[Node]:
        return [node for _, node in self.entries if node.type in SUPPORTED - {"Bundle"}]


def open_body(raw: bytes) -> Body:
    """Return the body of a supported resource.

    Raises: FhirError: those of `load`, `resource-type-missing`, `not-supported`,
    `entry-not-supported`, `too-many-observations`, `element-invalid`, `element-missing`.
    """
    root = Node(load(raw), "")
    kind = root.text("resourceType")
    root = as_resource(replace(root, path=kind))
    if not kind:
        raise FhirError("resource-type-missing")
    if kind not in SUPPORTED:
        raise FhirError("not-supported", "resourceType")
    if kind != "Bundle":
        return Body(root, (("", root),))
    if root.required("type") not in _BUNDLES:
        raise root.invalid("not-supported", "type")
    entries = root.children("entry")
    if len(entries) > MAX_ENTRIES:
        raise root.invalid("too-many-observations", "entry")
    return Body(root, tuple(_entry(entry) for entry in entries))


def _entry(entry: Node) -> tuple[str, Node]:
    request = entry.child("request")
    if request is not None and request.text("method") not in ("POST", "PUT"):
        raise request.invalid("entry-not-supported", "method")
    resource = entry.child("resource")
    if resource is None:
        raise entry.invalid("element-missing", "resource")
    resource.required("resourceType")
    return entry.text("fullUrl"), as_resource(resource)


@dataclass(frozen=True, slots=True)
class OpenedBody:
    """A body parsed once, and what it says. `any_zone`: it says the same in every time zone."""

    body: Body
    facts: OruMessage
    now: datetime | None
    any_zone: bool

    def facts_in(self, zone: ZoneInfo, now: datetime | None) -> OruMessage:
        """Return what it says to a laboratory in `zone`, received at `now`."""
        if self.any_zone and now == self.now:
            return self.facts
        return _facts(self.body, Clock(zone, now))


def read_opened(raw: bytes, *, now: datetime | None) -> OpenedBody:
    """Parse and read a body whose laboratory is not known yet. Raises: as `read_fhir`."""
    body = open_body(raw)
    clock = Clock(ZoneInfo("UTC"), now)
    facts = _facts(body, clock)
    return OpenedBody(body, facts, now, not clock.asked_zone)


def read_fhir(raw: bytes, *, zone: ZoneInfo, now: datetime | None = None) -> OruMessage:
    """Return what a body says, as if a message had said it.

    Every patient named gets a group of her own; results whose patient is not in the body, or
    who is not the patient of their report, form a group without one. What comes from no
    diagnostic service (category), such as vital signs, is left out.
    `ObservationLine.set_id` holds the FHIRPath.
    Raises: FhirError on invalid content, `nothing-usable`, `no-pid` (no result names anybody).
    """
    return _facts(open_body(raw), Clock(zone, now))


def _facts(body: Body, clock: Clock) -> OruMessage:
    reader = _Reader(body, clock)
    groups = reader.groups()
    identifier, version = identity_of(body.root)
    return OruMessage(
        # Without an identifier the body itself is the key, as for a message without MSH-10.
        control_id=f"{identifier.value} {version}".strip() if identifier.value else "",
        sending_application=identifier.authority or "FHIR",
        sending_facility="",
        receiving_application="",
        receiving_facility="",
        message_at=_message_time(body.root, clock),
        version="4.0",
        processing_id="T" if _is_test(body) else "P",
        message_type=body.root.type,
        charset="UTF-8",
        groups=groups,
        notes=(),
        warnings=(),
    )


def identity_of(root: Node) -> tuple[EntityId, str]:
    """Return the identifier that finds a replay, and the version of what it names.

    A Bundle is sent once under its identifier; a report keeps its own through corrections.
    """
    if root.type == "Bundle":
        return entity(root.child("identifier")), ""
    meta = root.child("meta")
    version = (meta.text("versionId"), meta.text("lastUpdated")) if meta else ()
    parts = (*version, root.text("issued"), root.text("status"))
    return first_entity(root), " ".join(filter(None, parts))


def _message_time(root: Node, clock: Clock) -> Timestamp:
    sent = moment(root, "timestamp", clock) if root.type == "Bundle" else NO_TIME
    return sent if sent.raw else _updated(root, clock)


def _updated(resource: Node, clock: Clock) -> Timestamp:
    meta = resource.child("meta")
    return moment(meta, "lastUpdated", clock) if meta else NO_TIME


def _is_test(body: Body) -> bool:
    for node in (body.root, *(node for _, node in body.entries)):
        meta = node.child("meta")
        labels = meta.children("security") if meta else []
        if any(label.text("code") == "HTEST" for label in labels):
            return True
    return False


def _reported(node: Node) -> bool:
    """Say whether its category is of diagnostic reports, or it has none.

    What a report does not name must be a laboratory's: vital signs and measurements on pictures
    or in procedures are no results of their own.
    """
    reported = _REPORTED if node.type == "DiagnosticReport" else _MEASURED
    sent = [code for concept in node.children("category") for code, _, _ in codings(concept)]
    return not sent or not reported.isdisjoint(sent)


@dataclass
class _Reader:
    body: Body
    clock: Clock
    resources: Resources = field(init=False)
    subjects: Subjects = field(init=False)
    lines_read: int = 0
    reports_read: int = 0
    by_patient: dict[PatientIdentity | None, list[Report]] = field(default_factory=dict)
    anybody: bool = False

    def __post_init__(self) -> None:
        self.resources = Resources(list(self.body.entries))
        self.subjects = Subjects(self.resources)

    def groups(self) -> tuple[PatientGroup, ...]:
        results = [node for node in self.body.results if _reported(node)]
        reports = [node for node in results if node.type == "DiagnosticReport"]
        single = [node for node in results if node.type == "Observation"]
        placed: set[int] = set()
        for report in reports:
            placed |= self._report(report, report.children("result"))
        members = {
            id(found.data)
            for panel in single
            for reference in panel.children("hasMember")
            if (found := self.resources.find(reference)) is not None
            and found.data is not panel.data
        }
        # Panels take their members along; members of each other alone come last.
        for node in sorted(single, key=lambda node: id(node.data) in members):
            if id(node.data) not in placed:
                placed |= self._observation(node)
        if not self.reports_read:
            raise FhirError("nothing-usable", self.body.root.path)
        if not self.anybody:
            raise FhirError("no-pid", self.body.root.path)
        return tuple(PatientGroup(pid, tuple(r), ()) for pid, r in self.by_patient.items())

    def _observation(self, node: Node) -> set[int]:
        status_of(node)
        return self._report(node, [], status="")

    def _report(self, node: Node, results: list[Node], status: str | None = None) -> set[int]:
        """Read a report, or an Observation that no report names, as one order."""
        withdrawn = False
        if status is None:
            word = node.required("status")
            if word not in _REPORT_STATUS:
                raise node.invalid("status-invalid", "status")
            status, withdrawn = _REPORT_STATUS[word], word == "entered-in-error"
        code = code_of(node)
        own = self.subjects.of(node)
        self.anybody = self.anybody or own.stated
        faults = ("modifier-extension",) if modified(node) else ()
        by_patient: dict[PatientIdentity | None, list[ObservationLine]] = {}
        used: set[int] = set()
        specimens = self._specimens(node)
        of_lines: list[Specimen] = []
        for reference, found in self._members(node, results):
            if found is None:
                lines = [refused_line(self.lines_read + 1, reference, "reference-unresolved")]
                subject = own
            else:
                used.add(id(found.data))
                of_lines.append(self._sampled(found, specimens))
                subject = self._subject(found, own)
                lines = lines_of(
                    found,
                    first_index=self.lines_read + 1,
                    clock=self.clock,
                    performer=self._performer(found) or self._performer(node),
                    specimen=of_lines[-1],
                    faults=faults,
                )
                if withdrawn:
                    lines = [replace(line, status="D") for line in lines]
            self._count(lines)
            by_patient.setdefault(subject.pid, []).extend(lines)
        whole = WholeReport(
            node=node,
            code=code,
            category=_category(node),
            performer=self._performer(node),
            clock=self.clock,
            of_several=bool(by_patient.keys() - {own.pid}),
        )
        if lines := self._as_a_whole(whole):
            self._count(lines)
            by_patient.setdefault(own.pid, []).extend(lines)
        if not by_patient:
            lines = []
            if status not in _TELLS_SOMETHING_ALONE:
                fault = "report-withdrawn" if withdrawn else "report-without-results"
                lines = [refused_line(self.lines_read + 1, node, fault)]
            self._count(lines)
            by_patient[own.pid] = lines
        unknown = node.type == "DiagnosticReport" and not status and not withdrawn
        if not specimens and len(set(of_lines)) == 1:
            specimens = tuple(of_lines[:1])
        placer, filler = self._order(node)
        # Once: a report may hold results of many people.
        as_sent = node.as_sent()
        for pid, of_patient in by_patient.items():
            self.reports_read += 1
            made = Report(
                position=self.reports_read,
                set_id=node.path,
                placer=placer,
                filler=filler,
                code=code,
                collected_at=effective(node, self.clock),
                received_at=specimens[0].received_at if specimens else NO_TIME,
                result_at=self._issued(node),
                status=status,
                category=whole.category,
                specimens=specimens,
                notes=() if whole.concludes else tuple(filter(None, (node.text("conclusion"),))),
                observations=tuple(of_patient),
                faults=("report-status-unknown",) if unknown else (),
                raw_segment=as_sent,
            )
            self.by_patient.setdefault(pid, []).append(made)
        return used

    def _as_a_whole(self, whole: WholeReport) -> list[ObservationLine]:
        """Return the lines of a report that are none of its Observations."""
        if whole.node.type != "DiagnosticReport":
            return []
        first = self.lines_read + 1
        lines = document_lines(whole, resources=self.resources, first_index=first)
        conclusion = conclusion_line(whole, index=first + len(lines))
        return lines if conclusion is None else [*lines, conclusion]

    def _count(self, lines: list[ObservationLine]) -> None:
        self.lines_read += len(lines)
        if self.lines_read > MAX_ENTRIES:
            raise FhirError("too-many-observations", self.body.root.path)

    def _members(self, node: Node, results: list[Node]) -> Iterator[tuple[Node, Node | None]]:
        """Yield each reference and the Observation it means, members of panels after it."""
        seen: set[int] = set()
        waiting = list(reversed(results))
        if node.type == "Observation":
            seen.add(id(node.data))
            yield node, node
            waiting = list(reversed(node.children("hasMember")))
        while waiting:
            reference = waiting.pop()
            found = self.resources.find(reference)
            if found is not None and id(found.data) in seen:
                continue
            if found is None or found.type != "Observation":
                yield reference, None
                continue
            seen.add(id(found.data))
            yield reference, found
            waiting += reversed(found.children("hasMember"))

    def _subject(self, found: Node, of_report: Subject) -> Subject:
        """Return whose result it is: the Observation's own patient, who must be the report's."""
        own = self.subjects.of(found)
        self.anybody = self.anybody or own.stated
        if not own.stated:
            return of_report
        if not of_report.stated:
            return own
        return of_report if own.same_as(of_report) else Subject(True, None)

    def _performer(self, node: Node) -> str:
        for reference in node.children("performer"):
            found = self.resources.find(reference)
            name = found.data.get("name") if found and found.type == "Organization" else None
            if isinstance(name, str) or reference.text("display"):
                return name if isinstance(name, str) else reference.text("display")
        return ""

    def _issued(self, node: Node) -> Timestamp:
        issued = moment(node, "issued", self.clock)
        return issued if issued.raw else _updated(node, self.clock)

    def _order(self, node: Node) -> tuple[EntityId, EntityId]:
        """Return the placer's and the filler's number of an order."""
        placer = NO_ENTITY
        for reference in node.children("basedOn"):
            found = self.resources.find(reference)
            logical = entity(reference.child("identifier"))
            placer = placer if placer.value else logical if logical.value else (
                first_entity(found) if found else NO_ENTITY
            )  # fmt: skip
        filler = first_entity(node)
        if not filler.value and not placer.value and node.text("id"):
            filler = EntityId(node.text("id"), node.type)
        return placer, filler

    def _specimens(self, node: Node) -> tuple[Specimen, ...]:
        """Return every specimen that a report or Observation names."""
        single = node.type == "Observation"
        references = [node.child("specimen")] if single else node.children("specimen")
        found = filter(None, map(self.resources.find, references))
        return tuple(self._specimen(one) for one in found if one.type == "Specimen")

    def _sampled(self, found: Node, of_report: tuple[Specimen, ...]) -> Specimen:
        """Return what an Observation was made on: what it names, else the one of its report."""
        named = found.has("specimen")
        of_report = of_report if len(of_report) == 1 and not named else ()
        specimen = next(iter((*self._specimens(found), *of_report)), NO_SPECIMEN)
        site = coded(found.child("bodySite"))
        return replace(specimen, body_site=site) if site and not specimen.body_site else specimen

    def _specimen(self, found: Node) -> Specimen:
        accession = entity(found.child("accessionIdentifier"))
        collection = found.child("collection")
        collected = NO_TIME
        if collection is not None:
            period = collection.child("collectedPeriod")
            collected = (
                moment(period, "start", self.clock)
                if period
                else moment(collection, "collectedDateTime", self.clock)
            )
        return Specimen(
            type=coded(found.child("type")),
            identifier=accession if accession.value else first_entity(found),
            collected_at=collected,
            received_at=moment(found, "receivedTime", self.clock),
            body_site=coded(collection.child("bodySite")) if collection else NO_CODE,
        )


def _category(node: Node) -> str:
    sent = [code for concept in node.children("category") for code, _, _ in codings(concept)]
    return next((code for code in sent if code in _REPORTED), "")
