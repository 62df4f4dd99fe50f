from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from portal.database_role import refuse_unsafe_role
        from portal.subscriptions import subscribe_all

        connection_created.connect(refuse_unsafe_role)
        subscribe_all()


class LindenAdminConfig(AdminConfig):
    default_site = "portal.admin_site.LindenAdminSite"
