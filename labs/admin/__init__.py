"""Pages of the staff site: results, trends, the intake queue, matching, senders' settings."""

from labs.admin import biomarkers, intake, matching, results, settings

__all__ = ["biomarkers", "intake", "matching", "results", "settings"]
