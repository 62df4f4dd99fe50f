"""Pages of the staff site: results, trends, the intake queue, matching, senders' settings."""

from labs.admin import biomarkers, comment_templates, intake, matching, results, settings

__all__ = ["biomarkers", "comment_templates", "intake", "matching", "results", "settings"]
