from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    name = "appointments"
    verbose_name = "Appointments"

    def ready(self) -> None:
        from appointments.notices import recheck_visit_notice
        from appointments.offer_notices import recheck_offer_notice
        from appointments.services.links import link_for_notice
        from notifications import links, rechecks
        from notifications.purposes import Purpose

        rechecks.register(Purpose.VISIT_BOOKED, recheck_visit_notice)
        rechecks.register(Purpose.VISIT_REMINDER, recheck_visit_notice)
        for purpose in (Purpose.VISIT_BOOKED, Purpose.VISIT_REMINDER, Purpose.VISIT_CHANGED):
            links.register(purpose, link_for_notice)
        rechecks.register(Purpose.VISIT_OFFER, recheck_offer_notice)
