from django.apps import AppConfig


class EducationConfig(AppConfig):
    name = "education"
    verbose_name = "Education"

    def ready(self) -> None:
        from core import links
        from education.links import links_for

        links.register("education", links_for)
