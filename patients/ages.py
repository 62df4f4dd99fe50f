"""What a guardian may see of a minor's record, by the minor's age where she lives.

Age bands begin at a birthday, at midnight in the patient's own IANA zone, and each names the
areas that a guardian keeps in it. The shipped bands:

- from birth: a child; her guardian sees every area (`EVERYTHING`);
- from 12 and from 13: a young person; her guardian keeps appointments, billing and education,
  and the clinic may set each of the two bands apart;
- from 18: an adult; a grant that rests on guardianship gives nothing. She may invite anew.

Grants that an adult gave herself know no age. A birthday of 29 February counts, in years
without one, from 1 March. The same rule stands in SQL (`allowed_scopes`, patients 0006).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

EVERYTHING = "*"
ADULT_AT = 18


@dataclass(frozen=True, slots=True)
class Band:
    """From which birthday on (years), and which areas a guardian keeps."""

    from_years: int
    areas: frozenset[str]

    def keeps(self, area: str) -> bool:
        return EVERYTHING in self.areas or area in self.areas


_KEPT = frozenset({"appointments", "billing", "education"})
SHIPPED = (
    Band(0, frozenset({EVERYTHING})),
    Band(12, _KEPT),
    Band(13, _KEPT),
    Band(ADULT_AT, frozenset()),
)


def age_at(birth_date: date, *, zone: str, now: datetime) -> int:
    """Return her full years at `now` where she lives; negative before her birth."""
    today = now.astimezone(ZoneInfo(zone)).date()
    before_birthday = (today.month, today.day) < (birth_date.month, birth_date.day)
    return today.year - birth_date.year - before_birthday


def is_adult(birth_date: date, *, zone: str, now: datetime) -> bool:
    return age_at(birth_date, zone=zone, now=now) >= ADULT_AT


def band_at(birth_date: date, *, zone: str, now: datetime, bands: Sequence[Band] = SHIPPED) -> Band:
    """Return the band she is in at `now`. Where no band begins, a guardian keeps nothing."""
    age = age_at(birth_date, zone=zone, now=now)
    begun = [band for band in bands if band.from_years <= age]
    return max(begun, key=lambda band: band.from_years, default=Band(0, frozenset()))


def allowed_scopes(scopes: Iterable[str], band: Band) -> frozenset[str]:
    """Return what is left of a guardian's scopes in a band."""
    return frozenset(scope for scope in scopes if band.keeps(scope.partition(".")[0]))


def mailbox(address: str) -> str:
    """Return the mailbox that an address reaches: lower case, without a +tag."""
    local, _, domain = address.strip().lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
