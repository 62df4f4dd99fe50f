"""The Celery application. The schedule is in code, in UTC, and rings bells only: every tick
claims its work from the database, so a second beat or a lost tick changes nothing."""

import os
from datetime import datetime

from celery import Celery
from celery.schedules import schedstate, schedule

from core.clock import utc_now

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings.production")

app = Celery("linden")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class Every(schedule):
    """Every so many seconds, also when somebody sets the machine's clock.

    By wall time, a bell last rung in what is now the future would be silent until then.
    """

    def __init__(self, run_every: float) -> None:
        super().__init__(run_every, nowfun=utc_now)

    def is_due(self, last_run_at: datetime) -> schedstate:
        return super().is_due(min(last_run_at, utc_now()))

    def __reduce__(self) -> tuple[type, tuple[float]]:
        return type(self), (self.seconds,)


def _tick(task: str, seconds: float, *, expires: int) -> dict[str, object]:
    """A bell that is worthless after `expires` seconds: the next one rings soon."""
    return {"task": task, "schedule": Every(seconds), "options": {"expires": expires}}


app.conf.beat_schedule = {
    "deliver-events": _tick("portal.deliver_events", 2, expires=10),
    "drain-ledger": _tick("notifications.drain", 2, expires=10),
    "plan-check-ins": _tick("symptoms.plan_check_ins", 15, expires=60),
    "sweep-intake": _tick("labs.sweep_intake", 30, expires=60),
    "announce-released": _tick("labs.announce_released", 30, expires=60),
    "offer-openings": _tick("appointments.offer_openings", 30, expires=60),
    "escalate-work": _tick("worklist.escalate", 30, expires=60),
    "housekeeping": _tick("portal.housekeeping", 3600, expires=600),
}
