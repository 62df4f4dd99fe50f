"""OAuth scopes as the toolkit asks for them: from our one enum, nothing by default."""

from typing import Any

from oauth2_provider.scopes import BaseScopes

from accounts.models import OAuthClient
from accounts.scopes import LAB_SUBMIT, SCOPE_WORDS, STAFF, Scope


class Scopes(BaseScopes):
    """A client may ask for what its kind may hold."""

    def get_all_scopes(self) -> dict[str, str]:
        return {str(scope): words for scope, words in SCOPE_WORDS.items()}

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        kind = getattr(application, "kind", None)
        if kind == OAuthClient.Kind.LABORATORY:
            return [LAB_SUBMIT]
        if kind == OAuthClient.Kind.STAFF_TOOL:
            return [STAFF]
        return [str(scope) for scope in Scope]

    def get_default_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return []
