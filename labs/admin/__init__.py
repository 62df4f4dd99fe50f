"""Pages of the staff site: results, trends, release, the intake queue, matching, settings."""

from labs.admin import (
    biomarkers,
    comment_templates,
    intake,
    matching,
    release,
    results,
    settings,
    shown,
)

__all__ = [
    "biomarkers",
    "comment_templates",
    "intake",
    "matching",
    "release",
    "results",
    "settings",
    "shown",
]
