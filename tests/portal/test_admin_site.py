"""The staff site: which role sees which page, whose rows, and that looks are recorded."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from tests.cast import Cast, staff

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def page(model: type, kind: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


@pytest.fixture
def as_user(client: Client) -> Callable[[User], Client]:
    def sign_in(user: User) -> Client:
        client.force_login(user)
        return client

    return sign_in


@pytest.mark.parametrize("role", list(Role))
def test_every_changelist_answers_every_role(
    cast: Cast, as_user: Callable[[User], Client], role: Role
) -> None:
    signed_in = as_user(staff(f"zoe-{role}", role, cast.clinic))
    for model in MODELS:
        status = signed_in.get(page(model)).status_code
        assert status in (200, 403), (model, status)
    assert signed_in.get(reverse("admin:index")).status_code == 200
