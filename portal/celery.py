"""The Celery application. The schedule is in code, in UTC, and rings bells only: every tick
claims its work from the database, so a second beat or a lost tick changes nothing."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings.production")

app = Celery("linden")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "deliver-events": {
        "task": "portal.deliver_events",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "plan-check-ins": {
        "task": "symptoms.plan_check_ins",
        "schedule": 30.0,
        "options": {"expires": 60},
    },
    "drain-ledger": {"task": "notifications.drain", "schedule": 2.0, "options": {"expires": 10}},
    "housekeeping": {
        "task": "portal.housekeeping",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
}
