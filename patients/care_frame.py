"""What a page about a patient needs beside its rows: whom to call, and what is recorded."""

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from uuid import UUID

from core.prepared import prepared_cursor

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_SQL = """
SELECT o.id, o.name, o.zone, o.phone_day, o.phone_24h,
  (SELECT coalesce(json_agg(json_build_array(h.iso_weekday, h.opens, h.closes)
     ORDER BY h.iso_weekday, h.opens), '[]') FROM accounts_openinghours h
   WHERE h.organization_id = o.id),
  (SELECT coalesce(json_agg(json_build_array(f.kind, f.code, f.result)), '[]')
   FROM patients_profilefact f
   WHERE f.patient_id = p.id AND f.superseded_at IS NULL
     AND (f.ends_on IS NULL OR f.ends_on >= %(today)s))
FROM patients_patient p
LEFT JOIN LATERAL (
  SELECT org.* FROM patients_enrolment e
  JOIN accounts_organization org ON org.id = e.organization_id AND org.is_active
  WHERE e.patient_id = p.id AND e.starts_at <= %(now)s
    AND (e.ends_at IS NULL OR e.ends_at > %(now)s)
  ORDER BY e.starts_at LIMIT 1) o ON true
WHERE p.id = %(patient)s
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
    hours: tuple[tuple[int, time, time], ...] = ()
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
        """Return the hours in words, equal days joined: "Mon-Fri 08:00-17:00"."""
        spans: list[tuple[int, int, str]] = []
        for weekday, opens, closes in self.hours:
            text = f"{opens:%H:%M}-{closes:%H:%M}"
            if spans and spans[-1][2] == text and spans[-1][1] == weekday - 1:
                spans[-1] = (spans[-1][0], weekday, text)
            else:
                spans.append((weekday, weekday, text))
        return ", ".join(
            f"{_DAYS[first - 1]}{'' if first == last else '-' + _DAYS[last - 1]} {text}"
            for first, last, text in spans
        )


def _hours(rows: list[Any]) -> tuple[tuple[int, time, time], ...]:
    return tuple((day, time.fromisoformat(a), time.fromisoformat(b)) for day, a, b in rows)


def care_frame(*, patient_id: UUID, now: datetime) -> CareFrame:
    """Return the frame of one patient in one statement, under the identity in force.

    A patient out of reach has an empty frame.
    """
    with prepared_cursor() as cursor:
        cursor.execute(_SQL, {"patient": patient_id, "now": now, "today": now.date()})
        row = cursor.fetchone()
    if row is None:
        return CareFrame()
    facts = tuple(RecordedFact(*fact) for fact in row[6])
    if row[0] is None:
        return CareFrame(facts=facts)
    return CareFrame(row[0], row[1], row[2], row[3], row[4], _hours(row[5]), facts)
