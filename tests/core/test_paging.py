"""A page's cursor is ours, for this viewer and list; no row is lost or told twice."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.core import signing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.api.paging import _signature, decode_cursor, encode_cursor, keyset_page, page_limit
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
    kinds = [type(value) for value in values]
    assert decode_cursor("her:list", encode_cursor("her:list", values), kinds) == values


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
        decode_cursor("her:list", sent, (int, UUID))


def signed(body: str) -> str:
    """Return a cursor with our own signature, as an older or a faulty server may have made it."""
    return f"{body}.{_signature(body)}"


def packed(content: Any) -> str:
    return signed(urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("="))


GOOD = [{"t": "2026-01-01T00:00:00+00:00"}, {"u": str(UUID(int=7))}]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["t", "u", "v", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def test_the_good_one_that_the_odd_ones_are_made_from() -> None:
    values = decode_cursor("her:list", packed(["her:list", GOOD]), (datetime, UUID))
    assert values == [START, UUID(int=7)]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "her:list",
        ["her:list"],
        ["her:list", None],
        ["her:list", 7],
        ["her:list", []],
        ["her:list", GOOD[:1]],
        ["her:list", [*GOOD, GOOD[0]]],
        ["her:list", GOOD[::-1]],
        ["her:list", "tu"],
        ["her:list", ["t", "u"]],
        ["her:list", [{"t": "2026-01-01T00:00:00"}, GOOD[1]]],
        ["her:list", [{"t": "2026-13-01T00:00:00Z"}, GOOD[1]]],
        ["her:list", [{"t": 5}, GOOD[1]]],
        ["her:list", [{"v": "2026-01-01"}, GOOD[1]]],
        ["her:list", [GOOD[0], {"u": 5}]],
        ["her:list", [GOOD[0], {"u": "7"}]],
        ["her:list", [GOOD[0], {}]],
        {"her:list": GOOD},
    ],
    ids=str,
)
def test_a_signed_cursor_of_another_shape_is_refused(content: Any) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("her:list", packed(content), (datetime, UUID))


@pytest.mark.parametrize("body", ["", "A", "!", "é", "e30", "\x00", "W10", "//8"])
def test_a_signed_body_that_is_no_list_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("her:list", signed(body), (datetime, UUID))


@given(content=ANY_JSON, in_place=st.sampled_from(["all", "values", "first", "second"]))
def test_whatever_was_signed_is_read_or_refused(content: Any, in_place: str) -> None:
    made = {
        "all": content,
        "values": ["her:list", content],
        "first": ["her:list", [content, GOOD[1]]],
        "second": ["her:list", [GOOD[0], content]],
    }[in_place]
    try:
        instant, last = decode_cursor("her:list", packed(made), (datetime, UUID))
    except InvalidInput:
        return
    assert instant.utcoffset() is not None
    assert isinstance(last, UUID)


@given(st.text(max_size=80))
def test_whatever_is_sent_is_refused(sent: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("her:list", sent, (datetime, UUID))


@given(at=st.integers(min_value=0), how=st.sampled_from(["cut", "dropped", "changed", "doubled"]))
def test_a_damaged_cursor_is_refused(at: int, how: str) -> None:
    good = encode_cursor("her:list", [START, UUID(int=7)])
    at %= len(good)
    sent = {
        "cut": good[:at],
        "dropped": good[:at] + good[at + 1 :],
        "changed": good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :],
        "doubled": good[: at + 1] + good[at:],
    }[how]
    with pytest.raises(InvalidInput):
        decode_cursor("her:list", sent, (datetime, UUID))


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
