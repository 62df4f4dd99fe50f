from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    name = "appointments"
    verbose_name = "Appointments"

    def ready(self) -> None:
        from appointments.notices import recheck_visit_notice
        from notifications import rechecks
        from notifications.purposes import Purpose

        rechecks.register(Purpose.VISIT_BOOKED, recheck_visit_notice)
        rechecks.register(Purpose.VISIT_REMINDER, recheck_visit_notice)
