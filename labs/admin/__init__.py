"""Pages of the staff site: results and trends, the intake queue, and senders' settings."""

from labs.admin import intake, results, settings

__all__ = ["intake", "results", "settings"]
