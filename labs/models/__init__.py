"""Laboratory tables: who sends, what came in, what became of it, and the results themselves."""

from labs.models.biomarkers import BiomarkerProposal
from labs.models.documents import Document
from labs.models.intake import Filing, InboundMessage, IntakeItem, UnfiledMessage
from labs.models.reading import AnalyteBaseline, ChangedResult, ReportSeen
from labs.models.release import ReleaseHold, ReleaseRule, TellingWish
from labs.models.results import DiagnosticReport, Observation, ReportVersion
from labs.models.review import Comment, CommentTemplate, DerivedObstacle, Review, ReviewRole
from labs.models.senders import (
    CodeMap,
    ConfiguredRange,
    MatchDecision,
    SenderName,
    SendingLaboratory,
)

__all__ = [
    "AnalyteBaseline",
    "BiomarkerProposal",
    "ChangedResult",
    "CodeMap",
    "Comment",
    "CommentTemplate",
    "ConfiguredRange",
    "DerivedObstacle",
    "DiagnosticReport",
    "Document",
    "Filing",
    "InboundMessage",
    "IntakeItem",
    "MatchDecision",
    "Observation",
    "ReleaseHold",
    "ReleaseRule",
    "ReportSeen",
    "ReportVersion",
    "Review",
    "ReviewRole",
    "SenderName",
    "SendingLaboratory",
    "TellingWish",
    "UnfiledMessage",
]
