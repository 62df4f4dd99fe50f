"""What must hold before a text is published. Pure Python.

Public: `failed_gates`, `reading_grade`, `Gate`, `GRADE_TARGET`, `GRADE_LIMIT`.
"""

from dataclasses import dataclass
from datetime import date

from education.articles import ArticleFile

GRADE_TARGET = 6.0
"""At or below: no question asked."""
GRADE_LIMIT = 8.0
"""Above: never published. Between the two an editor gives a reason."""
MEASURED_LANGUAGES = frozenset({"en"})


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that is shut. `overridable`: an editor may open it with a written reason."""

    code: str
    message: str
    overridable: bool = False


def reading_grade(article: ArticleFile) -> float | None:
    """Return the Flesch-Kincaid grade of the text, None for a language it does not fit."""
    return article.readability.grade if article.language in MEASURED_LANGUAGES else None


def failed_gates(article: ArticleFile, *, today: date, override_reason: str) -> tuple[Gate, ...]:
    """Return what stops publishing on `today`; empty when nothing does.

    Format, sources, emergency box and raw HTML are already settled: `parse_article` refuses
    a file in which they are wrong.
    """
    gates = []
    grade = reading_grade(article)
    if grade is None:
        gates.append(
            Gate("reading-not-measured", "There is no reading measure for this language yet.", True)
        )
    elif grade > GRADE_LIMIT:
        gates.append(
            Gate("reading-too-hard", f"Reading grade {grade}: more than {GRADE_LIMIT} is refused.")
        )
    elif grade > GRADE_TARGET:
        gates.append(
            Gate("reading-hard", f"Reading grade {grade}: the target is {GRADE_TARGET}.", True)
        )
    if article.next_review < today:
        gates.append(Gate("review-overdue", f"The review was due on {article.next_review}."))
    given = bool(override_reason.strip())
    return tuple(gate for gate in gates if not (gate.overridable and given))
