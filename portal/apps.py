from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        from portal.subscriptions import subscribe_all

        subscribe_all()


class LindenAdminConfig(AdminConfig):
    default_site = "portal.admin_site.LindenAdminSite"
