"""What the clinic does during the history: it blocks time, lifts blocks, and rings the waitlist."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from uuid import UUID, uuid4

from django.db import Error as DatabaseError
from django.db import connections

from appointments import services
from bench.proof.surgery import ANSWER_MINUTES, Surgery
from bench.proof.visit_history import Operation, Outcome, Place
from core.db import identity
from core.errors import DomainError
from patients.viewer import staff_viewer

OFFERED_SECONDS = 5
_BLOCKS_AT_MOST = 8
_PAUSE_SECONDS = 0.15


class FrontDesk:
    """One member of staff and the tick, in this process, through the services."""

    def __init__(self, surgery: Surgery, chance: random.Random) -> None:
        self._surgery = surgery
        self._chance = chance
        self._blocks: list[str] = []
        self._openings = sorted(surgery.supply.openings, key=lambda one: (one.starts, repr(one)))
        self.history: list[Operation] = []
        self.offered = 0
        self.failed = 0

    def run(self, another: Callable[[], bool]) -> None:
        """Do one thing after the other as long as `another` says so."""
        try:
            while another():
                for step in (*[self._block_or_lift] * 3, self._ring):
                    try:
                        step()
                    except DatabaseError:
                        # The server was killed under us: the next step opens another connection.
                        self.failed += 1
                        connections.close_all()
                time.sleep(_PAUSE_SECONDS)
        finally:
            connections.close_all()

    def _ring(self) -> None:
        """End offers that were not answered, and make offers that end in a few seconds.

        An offer leaves an hour to answer: it is made with the clock of an hour ago. By that
        clock holds that have run out meanwhile still stand, so it takes nobody's time.
        """
        now = datetime.now(UTC)
        services.offer_openings(now=now, organization_id=uuid4())
        before = now - timedelta(minutes=ANSWER_MINUTES) + timedelta(seconds=OFFERED_SECONDS)
        organization = self._surgery.clinic.organization.id
        self.offered += services.offer_openings(now=before, organization_id=organization).offered

    def _block_or_lift(self) -> None:
        if self._blocks and self._chance.random() < len(self._blocks) / _BLOCKS_AT_MOST:
            self._lift(self._blocks.pop(self._chance.randrange(len(self._blocks))))
        else:
            self._block()

    def _block(self) -> None:
        from_ = self._chance.choice(self._openings)
        place = Place(
            from_.schedule, "", from_.starts, from_.starts + 1800 * self._chance.randint(1, 4)
        )

        def block() -> str:
            made = services.block_time(
                actor=self._surgery.staff,
                resource_id=UUID(self._surgery.supply.resources[place.schedule]),
                starts_at=datetime.fromtimestamp(place.starts, UTC),
                ends_at=datetime.fromtimestamp(place.ends, UTC),
                reason="Meeting",
                now=datetime.now(UTC),
            )
            return str(made.id)

        one = self._noted(block, Operation("block", "ok", 0, 0, place=place))
        if one.outcome == "ok":
            self._blocks.append(one.subject)

    def _lift(self, name: str) -> None:
        def lift() -> str:
            services.lift_block(
                actor=self._surgery.staff, block_id=UUID(name), now=datetime.now(UTC)
            )
            return ""

        self._noted(lift, Operation("lift", "ok", 0, 0, uses=name))

    def _noted(self, work: Callable[[], str], asked: Operation) -> Operation:
        """Do `work` as staff and note what became of it; it returns what it made."""
        outcome: Outcome = "unknown"
        subject, invoked, answered = "", time.time(), inf
        try:
            viewer = staff_viewer(user=self._surgery.staff, now=datetime.now(UTC))
            with identity(viewer.identity):
                subject = work()
            outcome, answered = "ok", time.time()
        except DomainError:
            outcome, answered = "refused", time.time()
        finally:
            noted = Operation(
                asked.action, outcome, invoked, answered,
                subject=subject, uses=asked.uses, place=asked.place,
            )  # fmt: skip
            if outcome == "unknown":
                # What was made may not be there: its name proves nothing.
                noted = Operation(
                    asked.action, outcome, invoked, inf, uses=asked.uses, place=asked.place
                )
            self.history.append(noted)
        return noted
