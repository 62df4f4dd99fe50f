"""Bodies with anything anywhere: answered, kept, filed or queued, and never on another record."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import identity, system
from labs.models import InboundMessage, Observation, UnfiledMessage
from tests.cast import Cast
from tests.labs.fhir_bodies import Json, annas, concept, observation, quantity, raw, report
from tests.labs.messages import laboratory
from tests.labs.test_fhir_door import post
from tests.labs.test_https_door import token

pytestmark = pytest.mark.django_db

WHOLE = annas(
    ("urn:uuid:a", observation(component=[{"code": concept("1751-7"), "valueString": "x"}])),
    ("urn:uuid:b", observation(5, interpretation=[{"text": "H"}], note=[{"text": "n"}])),
    observation(7, performer=[{"display": "Lab"}], method={"text": "m"}, id="c"),
    report("urn:uuid:a", "urn:uuid:b", category=[concept("LAB")], basedOn=[{"display": "x"}]),
    # No identifier: each body counts as a message of its own and is filed.
    timestamp="2026-11-20T08:15:00Z",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every element below `value`."""
    members = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    found = [path] if path else []
    for name, member in members:
        found += places(member, (*path, name))
    return found


def with_change(path: tuple[Any, ...], new: Any) -> Json:
    """Return the whole body with another element at `path`; `...` takes it away."""
    body: Json = json.loads(raw(WHOLE))
    holder: Any = body
    for name in path[:-1]:
        holder = holder[name]
    if new is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    return body


OTHER = st.one_of(
    st.just(...),
    st.sampled_from(
        [
            *(None, True, 0, -1, 10**30, 1.5, "", " ", "x" * 5000, "F", "0001-01-01", "9999"),
            *([], {}, [[]], ["x"], {"x": 1}, {"reference": "#x"}, {"text": "t"}, "urn:uuid:b"),
            *(quantity(1), [quantity(1)], concept("x" * 600), [concept("1742-6", "x" * 600)]),
            *([{"value": "x" * 600, "system": "s" * 600}], "<script>", "\u202e", "\x1f"),
        ]
    ),
    st.text(max_size=5),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from(places(WHOLE)), new=OTHER)
def test_every_change_is_answered_kept_and_stays_with_its_patient(
    client: Client, cast: Cast, path: tuple[Any, ...], new: Any
) -> None:
    with identity(system("lab-intake")):
        known = InboundMessage.objects.count()
    if not known:
        laboratory(cast.clinic, client_id="lis")
        token("lis")
    answer = post(client, with_change(path, new), "token-of-lis")
    assert answer.status_code in {200, 201, 422}
    with identity(system("lab-intake")):
        assert InboundMessage.objects.count() == known + 1
        assert not UnfiledMessage.objects.exists(), "filing failed"
        assert {row.patient_id for row in Observation.objects.all()} <= {cast.anna.id}


def test_the_body_that_is_changed_above_is_filed_whole(client: Client, cast: Cast) -> None:
    laboratory(cast.clinic, client_id="lis")
    post(client, WHOLE, token("lis"))
    with identity(system("lab-intake")):
        rows = Observation.objects.order_by("obx_index")
        assert [row.value_text for row in rows] == ["31", "x", "5", "7"]
