"""How results look to a phone: plain dicts, in her words, from the rows of the selectors."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from clinical.analytes import Analyte, by_key
from clinical.outside import not_by_clinic, outside_text
from clinical.panels import panel_of
from clinical.patient_text import RESULT_NOTE, Contact, not_released_text, text_for
from clinical.report_kinds import kind_of, what_it_is
from clinical.specimens import sampled
from clinical.states import PortalState, patient_label
from core.links import Link, LinkRequest, links_for
from core.timeobject import TimeObject, time_object
from labs.api.reviews import (
    comments_json,
    not_worked_out_json,
    review_of_report_json,
    review_of_result_json,
)
from labs.document_reading import sections_of, shown_documents
from labs.trends import FINAL, direction_since
from patients.care_frame import CareFrame, OpeningTimes, hours_in_words
from patients.viewer import Viewer


@lru_cache(maxsize=256)
def _analyte(key: str) -> Analyte | None:
    try:
        return by_key(key) if key else None
    except KeyError:
        return None


@dataclass(frozen=True, slots=True)
class Said:
    """What every result of one test in one state says to a patient of one clinic."""

    plain_name: str
    what: str
    label: str
    meaning: str
    what_to_do: str


class _Words:
    """The words for the results of one clinic's patients; its phones stand in them."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._said: dict[tuple[str, str, bool], Said] = {}

    def of(self, analyte_key: str, state: str, entered: bool = False) -> Said:
        found = self._said.get((analyte_key, state, entered))
        if found is None:
            analyte = _analyte(analyte_key)
            words = outside_text if entered else text_for
            text = words(PortalState(state)).filled(self._contact)
            found = self._said[analyte_key, state, entered] = Said(
                plain_name=analyte.plain_name if analyte else "",
                what=analyte.plain_what if analyte else "",
                label=patient_label(PortalState(state)),
                meaning=text.meaning,
                what_to_do=text.what_to_do,
            )
        return found


@lru_cache(maxsize=128)
def _words(phone_day: str, phone_24h: str, hours: OpeningTimes) -> _Words:
    return _Words(
        Contact(
            phone=phone_day or "your clinic",
            hours=hours_in_words(hours) or "opening hours",
            phone_24h=phone_24h or phone_day or "your local emergency number",
        )
    )


def plain(number: Decimal | None) -> str | None:
    """Return a laboratory number without exponent, or None."""
    return None if number is None else format(number, "f")


@dataclass
class Page:
    """What all results of one answer share: the reader, whom to call, links, warnings."""

    viewer: Viewer
    frame: CareFrame
    warnings: list[str] = field(default_factory=list)
    _times: dict[datetime, TimeObject] = field(default_factory=dict)
    _links: dict[tuple[str, str], list[dict[str, str]]] = field(default_factory=dict)

    def load_links(self, rows: Iterable[dict[str, Any]]) -> None:
        """Ask once for the links of all rows."""
        wanted = {LinkRequest(code, row["state"]) for row in rows if (code := _reading_code(row))}
        found, warnings = links_for(tuple(wanted), self.frame, self.viewer.language)
        self._links = {
            (asked.code, asked.state): [_link_json(link) for link in links]
            for asked, links in found.items()
        }
        self.warnings.extend(warnings)

    @cached_property
    def words(self) -> _Words:
        frame = self.frame
        return _words(frame.phone_day, frame.phone_24h, frame.hours)

    def time(self, instant: datetime | None) -> TimeObject | None:
        """Return the time object; results of one report share theirs."""
        if instant is None:
            return None
        shown = self._times.get(instant)
        if shown is None:
            shown = time_object(instant, self.viewer.zone, self.viewer.language)
            self._times[instant] = shown
        return shown

    def entered(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return who typed a result in, and where it was measured; None for a laboratory's."""
        if row["origin"] != "patient":
            return None
        by_reader = row["filed_by_id"] == self.viewer.user_id
        by_patient = by_reader == (self.viewer.kind == "patient")
        return {
            "by": "you" if by_reader else "patient" if by_patient else "caregiver",
            "words": not_by_clinic(by_reader=by_reader, by_patient=by_patient),
            "where": row["performer"],
        }

    def links(self, loinc: str, state: str) -> list[dict[str, str]]:
        return self._links.get((loinc, state), [])


def _reading_code(row: dict[str, Any]) -> str:
    """Return the LOINC code to read about; what she typed in names a test, not a code."""
    if row["origin"] == "patient":
        return by_key(row["analyte_key"]).loinc_primary
    code: str = row["loinc"]
    return code


def _link_json(link: Link) -> dict[str, str]:
    return {"topic": link.topic, "title": link.title, "href": link.href, "language": link.language}


def result_json(row: dict[str, Any], page: Page) -> dict[str, Any]:
    """Return one result as the API shows it."""
    state, low = row["state"], row["value_low"]
    entered = page.entered(row)
    said = page.words.of(row["analyte_key"], state, entered is not None)
    exact = low is not None and low == row["value_high"]
    return {
        "id": row["id"],
        "report_id": row["report_id"],
        "version": row["version"],
        "analyte": row["analyte_key"] or None,
        "panel": panel_of(row["analyte_key"]),
        "origin": row["origin"],
        "is_new": row["is_new"] and entered is None,
        "loinc": row["loinc"] or None,
        "name": row["display_name"],
        "plain_name": said.plain_name or row["display_name"],
        "what": said.what,
        "value": {
            "text": row["value_text"],
            "number": plain(low) if exact else None,
            "comparator": row["comparator"] or None,
            "unit": row["unit_text"] or None,
            "ucum": row["unit_ucum"] or None,
        },
        "range": _range(row),
        "state": state,
        "tier": row["tier"],
        "label": said.label,
        "reason": row["reason"],
        "meaning": f"{entered['words']} {said.meaning}" if entered else said.meaning,
        "what_to_do": said.what_to_do,
        "rule": {"id": row["rule_id"], "version": row["rule_version"], "basis": row["basis"]},
        "flags": row["flags"],
        "status": row["status"],
        "change": _change(row, page),
        "was": _was(row, page),
        "collected": page.time(row["effective_at"]),
        "resulted": page.time(row["issued_at"]),
        "released": page.time(row["visible_from"]),
        "lab_comment": row["lab_comment"],
        "specimen": _specimen(row),
        "worked_out": _worked_out(row),
        "not_worked_out": not_worked_out_json(row),
        "comments": comments_json(row, page),
        **review_of_result_json(row, page),
        "entered": entered,
        "links": page.links(_reading_code(row), state),
    }


def _range(row: dict[str, Any]) -> dict[str, Any] | None:
    if not row["range_text"] and row["range_used_low"] is None and row["range_used_high"] is None:
        return None
    return {
        "text": row["range_text"],
        "low": plain(row["range_used_low"]),
        "high": plain(row["range_used_high"]),
    }


def _specimen(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was sampled and where; None when the laboratory did not say."""
    words = sampled(row["specimen_type"], row["body_site"])
    if not words:
        return None
    return {
        "type": row["specimen_type"] or None,
        "body_site": row["body_site"] or None,
        "text": words,
    }


def _instant(stored: str) -> datetime:
    return datetime.fromisoformat(stored)


def _change(row: dict[str, Any], page: Page) -> dict[str, Any] | None:
    """Return how the number moved since last time: a direction, never a verdict."""
    if not row["previous"] or not row["comparable"] or row["status"] not in FINAL:
        return None
    previous = orjson.loads(row["previous"])
    direction = direction_since(row, previous)
    if direction is None:
        return None
    return {
        "direction": direction.value,
        "from": previous["text"],
        "unit": previous["unit"] or None,
        "at": page.time(_instant(previous["at"])),
    }


def _was(row: dict[str, Any], page: Page) -> dict[str, Any] | None:
    if not row["was"]:
        return None
    was = orjson.loads(row["was"])
    if (was["text"], was["unit"]) == (row["value_text"], row["unit_text"]):
        return None
    return {
        "text": was["text"],
        "unit": was["unit"] or None,
        "at": page.time(_instant(was["filed"])),
    }


def _worked_out(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["origin"] != "derived":
        return None
    return {
        "method": row["derived_method"],
        "from": row["derived_from"],
        "label": "Worked out from calcium and albumin. Not a lab measurement.",
    }


def report_in_words(
    row: dict[str, Any], results: list[dict[str, Any]], page: Page
) -> dict[str, Any]:
    """Return what a report says beside numbers: its texts in order, and its files."""
    documents = shown_documents(row["documents"], results)
    return {
        "narrative": sections_of(kind_of(row["category"], row["loinc"]), results, documents),
        "documents": [
            {
                "id": document.id,
                "title": document.title,
                "type": document.type,
                "bytes": document.bytes,
                "at": page.time(document.at),
            }
            for document in documents
            if document.type is not None
        ],
    }


def report_json(row: dict[str, Any], page: Page) -> dict[str, Any]:
    """Return the frame of one report."""
    kind = kind_of(row["category"], row["loinc"])
    return {
        "id": row["id"],
        "kind": kind.value,
        "kind_text": what_it_is(kind),
        "name": row["name"],
        "loinc": row["loinc"] or None,
        "laboratory": row["laboratory__name"],
        "category": row["category"] or None,
        "status": row["status"],
        "corrected": row["has_correction"],
        "is_new": row["is_new"],
        "collected": page.time(row["effective_at"]),
        "resulted": page.time(row["resulted_at"]),
        "released": page.time(row["visible_from"]),
        "not_released": _not_released(row, page),
        "comments": comments_json(row, page),
        **review_of_report_json(row, page),
    }


def _not_released(row: dict[str, Any], page: Page) -> dict[str, str] | None:
    """Return the one line that is said of tests which wait, by the day: the same whatever waits."""
    if row["waits_until"] is None:
        return None
    latest = row["waits_until"].astimezone(ZoneInfo(page.viewer.zone)).date()
    return {"text": not_released_text(latest), "latest": latest.isoformat()}


NOTE = RESULT_NOTE
