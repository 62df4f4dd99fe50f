"""Publish the questions in a file, once."""

from datetime import datetime
from pathlib import Path

from django.db import transaction

from core.errors import DomainError
from symptoms.models import Questionnaire, QuestionnaireItem, QuestionnaireVersion
from symptoms.questions import read_questionnaire

CONTENT = Path(__file__).resolve().parent.parent / "content"
SHIPPED = (CONTENT / "weekly_general.yaml",)


class QuestionnaireConflict(DomainError):
    """This version is published with other questions, or a newer one is."""

    code = "questionnaire-version-conflict"
    title = "Published questions are never changed: give the file a new version."


def load_questionnaire(path: Path, *, now: datetime) -> tuple[QuestionnaireVersion, bool]:
    """Publish a file as the active version of its key; say whether it was new.

    Loading the same file again changes nothing. A newer version retires the active one; plans
    ask the active version from their next occurrence on.
    Raises: QuestionnaireFault for a file that cannot be read, QuestionnaireConflict.
    """
    file = read_questionnaire(path)
    with transaction.atomic():
        Questionnaire.objects.bulk_create([Questionnaire(key=file.key)], ignore_conflicts=True)
        questionnaire = Questionnaire.objects.select_for_update().get(key=file.key)
        newest = questionnaire.versions.order_by("-version").first()
        held = questionnaire.versions.filter(version=file.version).first()
        if held is not None and held.content_digest == file.digest:
            return held, False
        if newest is not None and newest.version >= file.version:
            raise QuestionnaireConflict()
        made = QuestionnaireVersion(
            questionnaire=questionnaire,
            version=file.version,
            title=file.title,
            content_digest=file.digest,
        )
        made.save(force_insert=True)
        QuestionnaireItem.objects.bulk_create(
            [
                QuestionnaireItem(
                    version=made,
                    position=question.position,
                    link_id=question.link_id,
                    symptom_key=question.symptom_key,
                    asks=question.asks,
                    words=question.words,
                    options=list(question.options),
                    enabled_by=question.enabled_by,
                    required=question.required,
                )
                for question in file.questions
            ]
        )
        status = QuestionnaireVersion.Status
        questionnaire.versions.filter(status=status.ACTIVE).update(status=status.RETIRED)
        made.status, made.published_at = status.ACTIVE, now
        made.save(update_fields=["status", "published_at"])
    return made, True
