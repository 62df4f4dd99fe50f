"""What Prometheus is told about the queues, asked of the database at scrape time."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from core.clock import clock_step, utc_now
from core.events import dead_deliveries, oldest_undelivered_at
from labs.services.intake import oldest_unprocessed_at
from notifications.selectors import counts_by_state, oldest_due_at
from worklist.selectors import overdue_by_urgency

log = structlog.get_logger(__name__)


def _age(oldest: datetime | None, now: datetime) -> float:
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


class QueueCollector:
    """Ages and depths of everything that waits for a machine or a person."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; a database that does not answer gives `linden_up 0` alone."""
        try:
            yield from self._gauges(self._clock())
            up = 1
        except DatabaseError as error:
            log.error("metrics.database", error_type=type(error).__name__)
            up = 0
        yield GaugeMetricFamily("linden_up", "1 when the database answered", value=up)

    def _gauges(self, now: datetime) -> list[GaugeMetricFamily]:
        notices = GaugeMetricFamily(
            "linden_notifications", "Ledger rows by state", labels=["state"]
        )
        for state, count in counts_by_state().items():
            notices.add_metric([state], count)
        overdue = GaugeMetricFamily(
            "linden_overdue_work_items", "Open work past its due time", labels=["urgency"]
        )
        for urgency, count in overdue_by_urgency(now=now).items():
            overdue.add_metric([urgency], count)
        return [
            notices,
            overdue,
            GaugeMetricFamily(
                "linden_oldest_unsent_notification_seconds",
                "Age of the oldest notice that is due and not sent",
                value=_age(oldest_due_at(now), now),
            ),
            GaugeMetricFamily(
                "linden_intake_lag_seconds",
                "Age of the oldest laboratory message that is stored and not yet filed",
                value=_age(oldest_unprocessed_at(), now),
            ),
            GaugeMetricFamily(
                "linden_oldest_undelivered_event_seconds",
                "Age of the oldest event that is due and not delivered",
                value=_age(oldest_undelivered_at(), now),
            ),
            GaugeMetricFamily(
                "linden_clock_step_seconds",
                "How far the machine's clock was set from the time in use, in this process",
                value=clock_step().total_seconds(),
            ),
            GaugeMetricFamily(
                "linden_dead_deliveries",
                "Events given up after eight tries",
                value=dead_deliveries(),
            ),
        ]


def _registry() -> Any:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the request histograms of all web processes and the queues. No ids, no names."""
    queues = CollectorRegistry()
    queues.register(QueueCollector())
    body = generate_latest(_registry()) + generate_latest(queues)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)
