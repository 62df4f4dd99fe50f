"""The change feed loses nothing to a slow transaction, and its cursor fits one viewer."""

import threading
import time
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.core import signing
from django.db import connection, connections

from core import feed
from core.areas import Area
from core.db import identity, system
from core.ids import new_id
from tests.cast import Cast, make_cast


def change(patient_id: UUID, now: datetime, *, kind: str = "upsert") -> UUID:
    resource_id = new_id()
    with identity(system("registration")):
        feed.record_change(
            patient_id=patient_id,
            area=Area.LABS,
            resource="DiagnosticReport",
            resource_id=resource_id,
            kind=kind,
            now=now,
        )
    return resource_id


def page(since: str, patient_id: UUID, now: datetime, **options: int) -> feed.ChangePage:
    with identity(system("registration")):
        return feed.changes_since(
            since=since, viewer_key="her", patient_id=patient_id, area=Area.LABS, now=now, **options
        )


def start(now: datetime) -> str:
    return feed.start_cursor(viewer_key="her", area=Area.LABS, now=now)


def settle() -> None:
    """Wait until every transaction that is open now has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        mine = cursor.fetchone()[0]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            if cursor.fetchone()[0] > mine:
                return
            time.sleep(0.01)
    raise AssertionError("an older transaction stayed open for a minute")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
class TestCommitted:
    """Each waits until older transactions ended: other tests share the server and its xids."""

    def test_a_page_has_the_changes_in_order_and_a_cursor_for_the_rest(self, now) -> None:
        anna = make_cast(now).anna
        cursor = start(now)
        made = [change(anna.pk, now), change(anna.pk, now, kind="gone"), change(anna.pk, now)]
        settle()
        first = page(cursor, anna.pk, now, limit=2)
        assert [(line.resource_id, line.kind) for line in first.changes] == [
            (made[0], "upsert"),
            (made[1], "gone"),
        ]
        assert first.more
        rest = page(first.next, anna.pk, now, limit=2)
        assert [line.resource_id for line in rest.changes] == made[2:]
        assert not rest.more
        assert page(rest.next, anna.pk, now).changes == []

    def test_a_change_before_the_cursor_is_not_told_again(self, now) -> None:
        anna = make_cast(now).anna
        change(anna.pk, now)
        settle()
        assert page(start(now), anna.pk, now).changes == []

    def test_another_patients_change_is_not_told(self, now) -> None:
        cast = make_cast(now)
        cursor = start(now)
        change(cast.brigid.pk, now)
        assert page(cursor, cast.anna.pk, now).changes == []

    def test_a_slow_transaction_is_waited_for_and_never_skipped(self, now) -> None:
        anna = make_cast(now).anna
        cursor = start(now)
        written, commit = threading.Event(), threading.Event()
        slow: list[UUID] = []

        def write_slowly() -> None:
            try:
                with identity(system("registration")):
                    slow.append(new_id())
                    feed.record_change(
                        patient_id=anna.pk,
                        area=Area.LABS,
                        resource="DiagnosticReport",
                        resource_id=slow[0],
                        kind="upsert",
                        now=now,
                    )
                    written.set()
                    assert commit.wait(10)
            finally:
                connections.close_all()

        thread = threading.Thread(target=write_slowly)
        thread.start()
        try:
            assert written.wait(10)
            quick = change(anna.pk, now)
            # The quick one is committed, the slow one is older and open: neither is served.
            during = page(cursor, anna.pk, now)
            assert during.changes == []
        finally:
            commit.set()
            thread.join(10)
        settle()
        after = page(during.next, anna.pk, now)
        assert [line.resource_id for line in after.changes] == [slow[0], quick]


@pytest.mark.django_db
class TestCursor:
    def test_it_is_refused_for_another_viewer_area_or_when_altered(self, cast: Cast, now) -> None:
        good = start(now)
        others = [
            feed.start_cursor(viewer_key="another", area=Area.LABS, now=now),
            feed.start_cursor(viewer_key="her", area=Area.SYMPTOMS, now=now),
            good[:-1] + ("A" if good[-1] != "A" else "B"),
            "",
            "no cursor",
            signing.dumps(["her", "labs"], salt="core.feed"),
            signing.dumps(["her", "labs", "x", "y", "z"], salt="core.feed"),
            signing.dumps(["her", "labs", 1, str(new_id()), 0], salt="another"),
            signing.dumps(None, salt="core.feed"),
            signing.dumps("her:l", salt="core.feed"),
            signing.dumps(["her", "labs", 1, 7, 0], salt="core.feed"),
            signing.dumps(["her", "labs", 1, None, 0], salt="core.feed"),
            signing.dumps(["her", "labs", "1; x", str(new_id()), 0], salt="core.feed"),
            signing.dumps(["her", "labs", 1.5, str(new_id()), 0], salt="core.feed"),
            signing.dumps(["her", "labs", -1, str(new_id()), 0], salt="core.feed"),
            signing.dumps(["her", "labs", 2**64, str(new_id()), 0], salt="core.feed"),
            signing.dumps(["her", "labs", True, str(new_id()), 0], salt="core.feed"),
            signing.dumps(["her", "labs", 1, str(new_id()), 10**20], salt="core.feed"),
            signing.dumps(["her", "labs", 1, str(new_id()), None], salt="core.feed"),
        ]
        for since in others:
            with pytest.raises(feed.SinceInvalid):
                page(since, cast.anna.pk, now)

    def test_it_ages_after_ninety_days(self, cast: Cast, now) -> None:
        since = start(now)
        assert page(since, cast.anna.pk, now + timedelta(days=90)).changes == []
        with pytest.raises(feed.SinceExpired):
            page(since, cast.anna.pk, now + timedelta(days=90, seconds=1))

    def test_a_used_cursor_stays_young(self, cast: Cast, now) -> None:
        later = page(start(now), cast.anna.pk, now + timedelta(days=89)).next
        assert page(later, cast.anna.pk, now + timedelta(days=178)).changes == []
