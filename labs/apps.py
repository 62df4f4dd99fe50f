from django.apps import AppConfig


class LabsConfig(AppConfig):
    name = "labs"
    verbose_name = "Labs"

    def ready(self) -> None:
        from labs.notices import recheck_result_notice
        from notifications import rechecks
        from notifications.purposes import Purpose

        rechecks.register(Purpose.RESULT, recheck_result_notice)
        rechecks.register(Purpose.RESULT_CORRECTED, recheck_result_notice)
