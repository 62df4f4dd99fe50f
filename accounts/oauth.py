"""OAuth scopes as the toolkit asks for them: from our one enum, nothing by default."""

from typing import Any

from oauth2_provider.scopes import BaseScopes

from accounts.scopes import LAB_SUBMIT, SCOPE_WORDS, STAFF, Scope


class Scopes(BaseScopes):
    """A client may ask for what its kind may hold."""

    def get_all_scopes(self) -> dict[str, str]:
        return {str(scope): words for scope, words in SCOPE_WORDS.items()}

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        if application is not None and application.authorization_grant_type == "client-credentials":
            return [LAB_SUBMIT]
        return [*(str(scope) for scope in Scope), STAFF]

    def get_default_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return []
