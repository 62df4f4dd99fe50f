"""Patients at random: each client of the history draws what to do next and notes what it is told.

Every client has patients of its own, so that what it knows of a visit is what the last answer
said. Times are epoch seconds of this machine, whose clock the server reads, too.
"""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import Any
from uuid import uuid4

from bench.loader.people import Person
from bench.proof.surgery import Surgery
from bench.proof.visit_history import Action, Operation, Outcome, Place

ME = "/api/v1/patients/me"
TIMEOUT_SECONDS = 30.0
_BREATH_SECONDS = 0.2
# Most people want the same few times.
_POPULAR, _WANTS_POPULAR = 40, 0.3
_WEIGHTS = {
    "hold": 16, "book": 24, "book-held": 14, "release": 3, "renew": 3, "move": 14,
    "move-held": 4, "cancel": 15, "wait": 4, "look": 4, "accept": 8, "decline": 3,
}  # fmt: skip


@dataclass
class Asking:
    """One connection. A request that got no answer, or a 5xx, has an unknown outcome."""

    port: int
    codes: Counter[str] = field(default_factory=Counter)
    server_errors: int = 0
    unanswered: int = 0
    _connection: http.client.HTTPConnection | None = None

    def __call__(
        self, method: str, path: str, person: Person, body: Any = None
    ) -> tuple[Outcome, Any]:
        """Send one request and return what became of it and the answer's JSON."""
        headers = {"Authorization": f"Bearer {person.token}", "Accept": "application/json"}
        text = None
        if method == "POST":
            headers |= {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
            text = json.dumps(body or {})
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self.port, timeout=TIMEOUT_SECONDS
                )
            self._connection.request(method, ME + path, text, headers)
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            self.unanswered += 1
            time.sleep(_BREATH_SECONDS)
            return "unknown", None
        found = json.loads(raw) if raw else None
        if answer.status >= 500:
            self.server_errors += 1
            time.sleep(_BREATH_SECONDS)
            return "unknown", None
        if answer.status >= 400:
            self.codes[f"{answer.status} {found.get('code', '')}"] += 1
            return "refused", found
        return "ok", found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


@dataclass
class _Kept:
    """A hold or an offer that she knows of; `visit` is what an offer would move."""

    id: str
    place: Place
    until: float
    visit: str = ""


@dataclass
class _Hers:
    """What one patient was told."""

    person: Person
    visits: dict[str, Place] = field(default_factory=dict)
    holds: dict[str, _Kept] = field(default_factory=dict)
    offers: dict[str, _Kept] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.person.patient_id)


class Visitor:
    """One client: `history` is what it asked and was told."""

    def __init__(
        self, surgery: Surgery, people: Sequence[Person], chance: random.Random, asking: Asking
    ) -> None:
        self._surgery = surgery
        self._hers = [_Hers(person) for person in people]
        self._chance = chance
        self.asking = asking
        self._openings = sorted(surgery.supply.openings, key=lambda one: (one.starts, repr(one)))
        self.history: list[Operation] = []

    def run(self, another: Callable[[], bool]) -> None:
        """Do one thing after the other as long as `another` says so."""
        while another():
            self._step(self._chance.choice(self._hers))
        self.asking.close()

    def _step(self, her: _Hers) -> None:
        now = time.time()
        her.holds = {name: one for name, one in her.holds.items() if one.until > now - 0.5}
        her.offers = {name: one for name, one in her.offers.items() if one.until > now - 0.5}
        possible: dict[str, Callable[[_Hers], None]] = {
            "hold": self._hold, "book": self._book, "wait": self._wait, "look": self._look
        }  # fmt: skip
        if her.holds:
            possible |= {"book-held": self._book_held, "release": self._release}
            possible |= {"renew": self._renew}
        if her.visits:
            possible |= {"move": self._move, "cancel": self._cancel}
        if her.holds and her.visits:
            possible["move-held"] = self._move_held
        if her.offers:
            possible |= {"accept": self._accept, "decline": self._decline}
        names = list(possible)
        (drawn,) = self._chance.choices(names, [_WEIGHTS[name] for name in names])
        possible[drawn](her)

    def _ask(self, action: Action, her: _Hers, path: str, **known: Any) -> tuple[Operation, Any]:
        """Send one request; return what is noted of it, so far, and its answer."""
        method = known.pop("method", "POST")
        body = known.pop("body", None)
        invoked = time.time()
        outcome, found = self.asking(method, path, her.person, body)
        answered = inf if outcome == "unknown" else time.time()
        return Operation(action, outcome, invoked, answered, patient=her.name, **known), found

    def _note(self, one: Operation) -> None:
        self.history.append(one)

    def _place(self, kind: str = "") -> Place:
        while True:
            popular = self._chance.random() < _WANTS_POPULAR
            place = self._chance.choice(self._openings[:_POPULAR] if popular else self._openings)
            if not kind or place.kind == kind:
                return place

    # --- holds --------------------------------------------------------------------------------

    def _hold(self, her: _Hers) -> None:
        place = self._place()
        body = {"opening": self._surgery.opening(place)}
        one, found = self._ask("hold", her, "/holds", body=body, place=place)
        if one.outcome == "ok":
            one = replace(one, subject=found["id"], until=_epoch(found["expires"]))
            her.holds[one.subject] = _Kept(one.subject, place, one.until)
        self._note(one)

    def _renew(self, her: _Hers) -> None:
        kept = self._chance.choice(list(her.holds.values()))
        one, found = self._ask(
            "renew", her, f"/holds/{kept.id}/$renew", place=kept.place, subject=kept.id
        )
        if one.outcome == "ok":
            one = replace(one, until=_epoch(found["expires"]))
            kept.until = one.until
        self._note(one)

    def _release(self, her: _Hers) -> None:
        kept = her.holds.pop(self._chance.choice(list(her.holds)))
        one, _ = self._ask("release", her, f"/holds/{kept.id}", method="DELETE", uses=kept.id)
        self._note(one)

    # --- visits -------------------------------------------------------------------------------

    def _book(self, her: _Hers) -> None:
        place = self._place()
        self._booked(her, {"opening": self._surgery.opening(place)}, place)

    def _book_held(self, her: _Hers) -> None:
        kept = her.holds.pop(self._chance.choice(list(her.holds)))
        self._booked(her, {"hold": kept.id}, kept.place, uses=kept.id)

    def _booked(self, her: _Hers, body: Any, place: Place, uses: str = "") -> None:
        one, found = self._ask("book", her, "/appointments", body=body, place=place, uses=uses)
        if one.outcome == "ok":
            one = replace(one, subject=found["id"], version=found["version"])
            her.visits[one.subject] = place
        self._note(one)

    def _move(self, her: _Hers) -> None:
        visit = self._chance.choice(list(her.visits))
        place = self._place(her.visits[visit].kind)
        self._moved(her, visit, {"opening": self._surgery.opening(place)}, place)

    def _move_held(self, her: _Hers) -> None:
        visit = self._chance.choice(list(her.visits))
        kept = her.holds.pop(self._chance.choice(list(her.holds)))
        self._moved(her, visit, {"hold": kept.id}, kept.place, uses=kept.id)

    def _moved(self, her: _Hers, visit: str, body: Any, place: Place, uses: str = "") -> None:
        one, found = self._ask(
            "move", her, f"/appointments/{visit}/$reschedule",
            body=body, place=place, subject=visit, uses=uses,
        )  # fmt: skip
        if one.outcome == "ok":
            one = replace(one, version=found["version"])
            her.visits[visit] = place
        self._note(one)

    def _cancel(self, her: _Hers) -> None:
        visit = self._chance.choice(list(her.visits))
        one, found = self._ask("cancel", her, f"/appointments/{visit}/$cancel", subject=visit)
        if one.outcome == "ok":
            one = replace(one, version=found["version"])
        if one.may_count:
            del her.visits[visit]
        self._note(one)

    # --- the waitlist -------------------------------------------------------------------------

    def _wait(self, her: _Hers) -> None:
        body: dict[str, Any] = {"visit_type": str(self._surgery.kinds[self._place().kind])}
        if her.visits and self._chance.random() < 0.5:
            body = {"appointment": self._chance.choice(list(her.visits))}
        self._note(self._ask("wait", her, "/waitlist", body=body)[0])

    def _look(self, her: _Hers) -> None:
        """See what she is offered; what is new to her goes into the history."""
        one, found = self._ask("offer", her, "/waitlist-offers?open=true", method="GET")
        if one.outcome != "ok":
            return
        for offer in found["items"]:
            if offer["id"] in her.offers:
                continue
            place = Place(
                self._surgery.names[offer["with"]],
                offer["visit_type"]["code"],
                int(_epoch(offer["start"])),
                int(_epoch(offer["end"])),
            )
            until = _epoch(offer["answer_until"])
            her.offers[offer["id"]] = _Kept(offer["id"], place, until, offer["instead_of"] or "")
            self._note(replace(one, subject=offer["id"], place=place, until=until))

    def _accept(self, her: _Hers) -> None:
        kept = her.offers.pop(self._chance.choice(list(her.offers)))
        one, found = self._ask(
            "accept", her, f"/waitlist-offers/{kept.id}/$accept",
            uses=kept.id, place=kept.place, subject=kept.visit,
        )  # fmt: skip
        if one.outcome == "ok":
            one = replace(one, subject=found["visit"])
            her.visits[one.subject] = kept.place
        self._note(one)

    def _decline(self, her: _Hers) -> None:
        kept = her.offers.pop(self._chance.choice(list(her.offers)))
        self._note(
            self._ask("decline", her, f"/waitlist-offers/{kept.id}/$decline", uses=kept.id)[0]
        )


def _epoch(time_object: dict[str, Any]) -> float:
    return datetime.fromisoformat(time_object["instant"]).timestamp()
