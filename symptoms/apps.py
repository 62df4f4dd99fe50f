from django.apps import AppConfig


class SymptomsConfig(AppConfig):
    name = "symptoms"
    verbose_name = "Symptoms"

    def ready(self) -> None:
        from notifications import rechecks
        from notifications.purposes import Purpose
        from symptoms import checks  # noqa: F401
        from symptoms.services import recheck_notice

        rechecks.register(Purpose.CHECK_IN, recheck_notice)
