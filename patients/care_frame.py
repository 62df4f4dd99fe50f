"""What a page about a patient needs beside its rows: whom to call, and what is recorded."""

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from uuid import UUID

import orjson
from django.db.models import TextField
from django.db.models.expressions import RawSQL

from core.prepared import prepared_cursor

# ISO weekday (Monday is 1), opening and closing time, in the organization's zone.
OpeningTimes = tuple[tuple[int, time, time], ...]
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# One JSON text, so that it can also stand as a column of another statement.
_SQL = """
SELECT json_build_array(o.id, o.name, o.zone, o.phone_day, o.phone_24h,
  (SELECT coalesce(json_agg(json_build_array(h.iso_weekday, h.opens, h.closes)
     ORDER BY h.iso_weekday, h.opens), '[]') FROM accounts_openinghours h
   WHERE h.organization_id = o.id),
  (SELECT coalesce(json_agg(json_build_array(f.kind, f.code, f.result)), '[]')
   FROM patients_profilefact f
   WHERE f.patient_id = p.id AND f.superseded_at IS NULL
     AND (f.ends_on IS NULL OR f.ends_on >= (%s::timestamptz AT TIME ZONE 'UTC')::date)))::text
FROM patients_patient p
LEFT JOIN LATERAL (
  SELECT org.* FROM patients_enrolment e
  JOIN accounts_organization org ON org.id = e.organization_id AND org.is_active
  WHERE e.patient_id = p.id AND e.starts_at <= %s
    AND (e.ends_at IS NULL OR e.ends_at > %s)
  ORDER BY e.starts_at LIMIT 1) o ON true
WHERE p.id = %s
"""


@dataclass(frozen=True, slots=True)
class RecordedFact:
    """One current fact of the disease profile."""

    kind: str
    code: str
    result: str


@dataclass(frozen=True, slots=True)
class CareFrame:
    """The organization that looks after her, its phones and hours, and her recorded profile.

    Without an enrolment the phones are empty: texts then say so instead of naming a number.
    """

    organization_id: UUID | None = None
    organization_name: str = ""
    zone: str = "UTC"
    phone_day: str = ""
    phone_24h: str = ""
    hours: OpeningTimes = ()
    facts: tuple[RecordedFact, ...] = field(default=())

    @property
    def sites(self) -> frozenset[str]:
        return self._present("site")

    @property
    def treatments(self) -> frozenset[str]:
        return self._present("treatment")

    def _present(self, kind: str) -> frozenset[str]:
        return frozenset(f.code for f in self.facts if f.kind == kind and f.result == "present")

    @property
    def hours_text(self) -> str:
        return hours_in_words(self.hours)


def hours_in_words(hours: OpeningTimes) -> str:
    """Return the hours in words, equal days joined: "Mon-Fri 08:00-17:00"."""
    spans: list[tuple[int, int, str]] = []
    for weekday, opens, closes in hours:
        text = f"{opens:%H:%M}-{closes:%H:%M}"
        if spans and spans[-1][2] == text and spans[-1][1] == weekday - 1:
            spans[-1] = (spans[-1][0], weekday, text)
        else:
            spans.append((weekday, weekday, text))
    return ", ".join(
        f"{_DAYS[first - 1]}{'' if first == last else '-' + _DAYS[last - 1]} {text}"
        for first, last, text in spans
    )


def _hours(rows: list[Any]) -> OpeningTimes:
    return tuple((day, time.fromisoformat(a), time.fromisoformat(b)) for day, a, b in rows)


def _parameters(patient_id: Any, now: Any) -> list[Any]:
    return [now, now, now, patient_id]


def care_frame_column(*, patient_id: UUID, now: datetime) -> RawSQL:
    """Return the frame as a column of a statement about this patient, for `care_frame_of`."""
    return RawSQL(_SQL, _parameters(patient_id, now), output_field=TextField())  # noqa: S611


def care_frame_of(column: str | None) -> CareFrame:
    """Return the frame that a column of `care_frame_column` holds; null is out of reach."""
    if column is None:
        return CareFrame()
    organization, name, zone, day, night, hours, recorded = orjson.loads(column)
    facts = tuple(RecordedFact(*fact) for fact in recorded)
    if organization is None:
        return CareFrame(facts=facts)
    return CareFrame(UUID(organization), name, zone, day, night, _hours(hours), facts)


def care_frame(*, patient_id: UUID, now: datetime) -> CareFrame:
    """Return the frame of one patient in one statement, under the identity in force.

    A patient out of reach has an empty frame.
    """
    with prepared_cursor() as cursor:
        cursor.execute(_SQL, _parameters(patient_id, now))
        row = cursor.fetchone()
    return care_frame_of(row[0] if row else None)
