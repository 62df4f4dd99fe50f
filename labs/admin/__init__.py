"""Pages of the staff site: results, trends, the intake queue, matching, senders' settings."""

from labs.admin import intake, matching, results, settings

__all__ = ["intake", "matching", "results", "settings"]
