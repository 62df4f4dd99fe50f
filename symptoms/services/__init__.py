"""Writes of the symptoms app."""

from symptoms.services.planning import (
    PlanExists,
    PlanningOutcome,
    change_plan,
    create_plan,
    pause_plan,
    plan_check_ins,
    recheck_notice,
    resume_plan,
    stop_plan,
)
from symptoms.services.questionnaires import QuestionnaireConflict, load_questionnaire
from symptoms.services.submission import (
    AlreadyAnswered,
    ClientIdReused,
    QuestionnaireChanged,
    Submission,
    look_at_answers,
    submit_check_in,
)

__all__ = [
    "AlreadyAnswered",
    "ClientIdReused",
    "PlanExists",
    "PlanningOutcome",
    "QuestionnaireChanged",
    "QuestionnaireConflict",
    "Submission",
    "change_plan",
    "create_plan",
    "load_questionnaire",
    "look_at_answers",
    "pause_plan",
    "plan_check_ins",
    "recheck_notice",
    "resume_plan",
    "stop_plan",
    "submit_check_in",
]
