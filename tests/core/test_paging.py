"""A page's cursor is ours, for this viewer and list; no row is lost or told twice."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import signing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.api.paging import decode_cursor, encode_cursor, keyset_page, page_limit
from core.db import identity, system
from core.errors import InvalidInput
from core.ids import new_id
from core.models import AuditEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("raw", "limit"), [(None, 20), ("1", 1), ("100", 100), ("007", 7)])
def test_a_limit_within_bounds(raw: str | None, limit: int) -> None:
    assert page_limit(raw) == limit


@pytest.mark.parametrize(
    "raw", ["0", "101", "-1", "", "ten", "1e2", " 5", "५", "99999999999999999999", "1.0"]
)
def test_a_limit_out_of_bounds_is_refused(raw: str) -> None:
    with pytest.raises(InvalidInput):
        page_limit(raw)


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.integers(min_value=-(2**53), max_value=2**53),
            st.uuids(),
            st.datetimes(timezones=st.just(UTC)),
        ),
        max_size=4,
    )
)
def test_a_cursor_gives_back_what_was_put_in(values: list[object]) -> None:
    assert decode_cursor("her:list", encode_cursor("her:list", values)) == values


@pytest.mark.parametrize("change", ["another list", "altered", "cut", "other salt", "other shape"])
def test_a_cursor_that_is_not_ours_is_refused(change: str) -> None:
    good = encode_cursor("her:list", [1, new_id()])
    sent = {
        "another list": encode_cursor("his:list", [1, new_id()]),
        "altered": good[:5] + ("A" if good[5] != "A" else "B") + good[6:],
        "cut": good[:-4],
        "other salt": signing.dumps(["her:list", [{"v": 1}]], salt="another"),
        "other shape": signing.dumps(["her:list", [{"x": 1}]], salt="core.paging"),
    }[change]
    with pytest.raises(InvalidInput):
        decode_cursor("her:list", sent)


@pytest.mark.django_db
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    minutes=st.lists(st.integers(min_value=0, max_value=3), max_size=12),
    limit=st.integers(min_value=1, max_value=5),
    newest_first=st.booleans(),
)
def test_pages_hold_every_row_once_and_in_order(
    db: None, minutes: list[int], limit: int, newest_first: bool
) -> None:
    name = str(new_id())
    rows = [
        AuditEvent(
            occurred_at=START + timedelta(minutes=minute),
            action="R",
            operation=name,
            outcome="success",
            actor_kind="none",
        )
        for minute in minutes
    ]
    AuditEvent.objects.bulk_create(rows)
    sign = "-" if newest_first else ""
    seen: list[object] = []
    cursor: str | None = None
    with identity(system("housekeeping")):
        for _ in range(len(rows) + 2):
            page = keyset_page(
                AuditEvent.objects.filter(operation=name),
                order=(f"{sign}occurred_at", f"{sign}id"),
                bound_to="her:list",
                cursor=cursor,
                limit=limit,
            )
            seen += [row.pk for row in page.rows]
            cursor = page.next
            if cursor is None:
                break
    wanted = sorted(rows, key=lambda row: (row.occurred_at, row.pk), reverse=newest_first)
    assert seen == [row.pk for row in wanted]
