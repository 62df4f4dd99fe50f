"""Default deny: an endpoint is open only when it says to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    # At run time APIView imports this module, for the default below.
    from rest_framework.views import APIView


class DenyAll(BasePermission):
    """The project's default."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class DecidedByViewer(BasePermission):
    """For views whose `viewer_of` decides: a token, a scope and a reach, or no answer."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return True


class Public(BasePermission):
    """For what anybody may read."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return True
