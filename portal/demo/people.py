"""Who is in the demo. Everybody is invented; nobody is meant."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Clinic:
    key: str
    name: str
    zone: str
    phone_day: str
    phone_24h: str


@dataclass(frozen=True, slots=True)
class Sender:
    """A laboratory: how it writes is part of who it is."""

    key: str
    name: str
    clinic: str
    authority: str
    zone: str
    decimal_comma: bool = False
    si_units: bool = False
    sends_ranges: bool = True


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a disease profile; `years_ago` places its start."""

    kind: str
    code: str
    result: str
    years_ago: float = 2.0


@dataclass(frozen=True, slots=True)
class Person:
    key: str
    given: str
    family: str
    born: date
    sex: str
    clinic: str
    sender: str
    record_number: str
    story: str
    facts: tuple[Fact, ...]
    language: str = "en"
    zone: str = ""
    pause: str = ""
    died_days_ago: int | None = None
    caregiver: str = ""


@dataclass(frozen=True, slots=True)
class Staff:
    key: str
    given: str
    family: str
    role: str
    clinic: str
    care_team_of: tuple[str, ...] = field(default=())


CLINICS = (
    Clinic("lindenhof", "Lindenhof Clinic", "Europe/Berlin", "+49 30 5550100", "+49 30 5550199"),
    Clinic("harbor", "Harbor Clinic", "America/New_York", "+1 212 555 0100", "+1 212 555 0199"),
)

SENDERS = (
    Sender("mainlab", "Main Laboratory", "lindenhof", "MAINLAB", "Europe/Berlin"),
    Sender(
        "landlabor",
        "Landlabor Nord",
        "lindenhof",
        "LANDLAB",
        "Europe/Berlin",
        decimal_comma=True,
        si_units=True,
    ),
    Sender("harborlab", "Harbor Laboratory", "harbor", "HARBOR", "America/New_York"),
    Sender(
        "islandlab", "Island Laboratory", "harbor", "ISLAND", "America/New_York", sends_ranges=False
    ),
)

STAFF = (
    Staff("nora", "Nora", "Weiss", "nurse", "lindenhof"),
    Staff("frieda", "Frieda", "Kurz", "front_desk", "lindenhof"),
    Staff("lars", "Lars", "Ahrens", "laboratory", "lindenhof"),
    Staff("edda", "Edda", "Stein", "content_editor", "lindenhof"),
    Staff("ada", "Ada", "Brock", "administrator", "lindenhof"),
    Staff(
        "clara",
        "Clara",
        "Engel",
        "clinician",
        "lindenhof",
        ("anna", "maria", "li", "ingrid", "rosa", "sarah", "walter", "helen"),
    ),
    Staff("olive", "Olive", "Park", "nurse", "harbor"),
    Staff("dan", "Dan", "Ruiz", "clinician", "harbor", ("fatima", "grace", "eva", "thandi")),
)

_HORMONE = (
    Fact("marker", "er", "positive"),
    Fact("marker", "pr", "positive"),
    Fact("marker", "her2", "negative"),
)
_HER2 = (
    Fact("marker", "er", "negative"),
    Fact("marker", "pr", "negative"),
    Fact("marker", "her2", "positive"),
)
_TRIPLE_NEGATIVE = (
    Fact("marker", "er", "negative"),
    Fact("marker", "pr", "negative"),
    Fact("marker", "her2", "negative"),
)


def _site(*names: str) -> tuple[Fact, ...]:
    return tuple(Fact("site", name, "present") for name in names)


def _on(name: str, years_ago: float = 1.0) -> Fact:
    return Fact("treatment", name, "present", years_ago)


PEOPLE = (
    Person(
        "anna", "Anna", "Sommer", date(1971, 3, 14), "female", "lindenhof", "mainlab", "900001",
        "drug-hurts-liver",
        (*_HORMONE, *_site("bone", "liver"), Fact("course", "recurrent", "present"),
         _on("cdk46", 0.6), _on("hormone-therapy", 1.8)),
        caregiver="jonas",
    ),
    Person(
        "maria", "Maria", "Oduya", date(1966, 11, 2), "female", "lindenhof", "mainlab", "900002",
        "high-calcium",
        (*_HORMONE, *_site("bone"), Fact("course", "recurrent", "present"),
         _on("hormone-therapy", 1.5)),
    ),
    Person(
        "li", "Li", "Wei", date(1983, 7, 30), "female", "lindenhof", "mainlab", "900003",
        "liver-recovers",
        (*_HER2, *_site("liver"), Fact("course", "de-novo", "present"), _on("targeted-therapy")),
    ),
    Person(
        "fatima", "Fatima", "Haddad", date(1978, 1, 19), "female", "harbor", "harborlab", "H-40117",
        "steady",
        (*_TRIPLE_NEGATIVE, *_site("lung"), Fact("course", "recurrent", "present"),
         _on("chemotherapy", 0.5)),
    ),
    Person(
        "ingrid", "Ingrid", "Larsen", date(1959, 5, 8), "female", "lindenhof", "landlabor", "N2204",
        "low-calcium",
        (*_HORMONE, *_site("bone"), Fact("course", "recurrent", "present"),
         _on("bone-drugs", 1.2), _on("hormone-therapy", 2.0)),
    ),
    Person(
        "rosa", "Rosa", "Delgado", date(1969, 9, 23), "female", "lindenhof", "mainlab", "900006",
        "liver-worsens",
        (*_HORMONE, *_site("liver", "bone"), Fact("course", "recurrent", "present"),
         _on("chemotherapy", 0.3)),
        language="es",
    ),
    Person(
        "grace", "Grace", "Mensah", date(1987, 12, 1), "female", "harbor", "harborlab", "H-40120",
        "steady",
        (*_HER2, *_site("brain"), Fact("course", "recurrent", "present"), _on("targeted-therapy")),
    ),
    Person(
        "eva", "Eva", "Novak", date(1962, 2, 27), "female", "harbor", "islandlab", "I-7731",
        "no-ranges",
        (*_HORMONE, *_site("bone"), Fact("course", "de-novo", "present"),
         _on("hormone-therapy", 1.9)),
    ),
    Person(
        "sarah", "Sarah", "Cohen", date(1974, 6, 11), "female", "lindenhof", "landlabor", "N2209",
        "steady",
        (*_HORMONE, *_site("bone"), Fact("course", "recurrent", "present"), _on("cdk46", 1.1)),
    ),
    Person(
        "thandi", "Thandi", "Nkosi", date(1980, 4, 4), "female", "harbor", "harborlab", "H-40131",
        "steady",
        (*_TRIPLE_NEGATIVE, *_site("liver"), Fact("course", "recurrent", "present"),
         _on("immunotherapy", 0.8)),
        pause="in-hospital",
    ),
    Person(
        "walter", "Walter", "Brandt", date(1955, 8, 17), "male", "lindenhof", "mainlab", "900011",
        "bone-heals",
        (*_HORMONE, *_site("bone"), Fact("course", "de-novo", "present"),
         _on("hormone-therapy", 1.4)),
    ),
    Person(
        "helen", "Helen", "Fischer", date(1951, 10, 5), "female", "lindenhof", "mainlab", "900012",
        "liver-worsens",
        (*_HER2, *_site("liver", "lung"), Fact("course", "recurrent", "present"),
         _on("targeted-therapy", 1.7)),
        died_days_ago=90,
    ),
)  # fmt: skip
