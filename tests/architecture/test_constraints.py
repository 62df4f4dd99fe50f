"""Truth lives in constraints, and each of them is broken in SQL by a test that names it."""

from pathlib import Path

import pytest
from django.apps import apps

TESTS = Path(__file__).parent.parent
PARTS = ("appointments",)


def _constraints(part: str) -> set[str]:
    models = apps.get_app_config(part).get_models()
    return {constraint.name for model in models for constraint in model._meta.constraints}


@pytest.mark.parametrize("part", PARTS)
def test_a_test_names_every_constraint(part: str) -> None:
    texts = "".join(file.read_text() for file in (TESTS / part).rglob("*.py"))
    unnamed = {name for name in _constraints(part) if f'"{name}"' not in texts}
    assert unnamed == set()
