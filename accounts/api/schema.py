"""How the OpenAPI document speaks of sign-in."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from accounts.scopes import SCOPE_WORDS


class BearerScheme(OpenApiAuthenticationExtension):
    """OAuth 2: authorization code with PKCE for people, client credentials for laboratories."""

    target_class = "accounts.api.authentication.BearerAuthentication"
    name = "oauth2"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        scopes = {str(scope): words for scope, words in SCOPE_WORDS.items()}
        return {
            "type": "oauth2",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": "/o/authorize/",
                    "tokenUrl": "/o/token/",
                    "refreshUrl": "/o/token/",
                    "scopes": scopes,
                },
                "clientCredentials": {"tokenUrl": "/o/token/", "scopes": scopes},
            },
        }
