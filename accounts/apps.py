from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and organizations"

    def ready(self) -> None:
        # Registers itself with the OpenAPI generator.
        from accounts.api import schema  # noqa: F401
