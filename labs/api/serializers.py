"""Shapes of the laboratory answers, for the OpenAPI document."""

from rest_framework import serializers

from clinical.calcium import Obstacle
from clinical.report_kinds import ReportKind
from clinical.states import PortalState, Tier
from clinical.trend import BaselineBasis, ExclusionReason
from core.api.serializers import ListFrame, Section, TimeObject
from labs.models import ReviewRole

REPORT_KINDS = [(kind.value, kind.value) for kind in ReportKind]


class ResultValue(serializers.Serializer):
    text = serializers.CharField(help_text="As the laboratory wrote it.")
    number = serializers.CharField(allow_null=True, help_text="Null unless a plain number.")
    comparator = serializers.CharField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    ucum = serializers.CharField(allow_null=True)


class ResultRange(serializers.Serializer):
    text = serializers.CharField()
    low = serializers.CharField(allow_null=True)
    high = serializers.CharField(allow_null=True)


class Rule(serializers.Serializer):
    id = serializers.CharField()
    version = serializers.CharField()
    basis = serializers.CharField()


class Change(serializers.Serializer):
    direction = serializers.ChoiceField(["up", "down", "same"])
    unit = serializers.CharField(allow_null=True, help_text="Of `from`, as the laboratory wrote.")
    at = TimeObject()

    def get_fields(self) -> dict[str, serializers.Field]:
        # `from` is a keyword of Python.
        return {**super().get_fields(), "from": serializers.CharField()}


class Was(serializers.Serializer):
    text = serializers.CharField()
    unit = serializers.CharField(allow_null=True)
    at = TimeObject()


class WorkedOut(serializers.Serializer):
    method = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]

    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            **super().get_fields(),
            "from": serializers.ListField(child=serializers.UUIDField()),
        }


class Sampled(serializers.Serializer):
    type = serializers.CharField(allow_null=True)
    body_site = serializers.CharField(allow_null=True)
    text = serializers.CharField(help_text='In words, such as "Tissue from liver".')


class NotWorkedOut(serializers.Serializer):
    reasons = serializers.ListField(
        child=serializers.ChoiceField([reason.value for reason in Obstacle])
    )
    words = serializers.CharField()


class StaffComment(serializers.Serializer):
    text = serializers.CharField(help_text="Plain text; may have several lines.")
    language = serializers.CharField()
    author_role = serializers.ChoiceField(ReviewRole.choices)
    author_name = serializers.CharField(allow_null=True)
    at = TimeObject()
    before_correction = serializers.BooleanField(help_text="What it speaks of was corrected since.")


class Reviewed(serializers.Serializer):
    by_role = serializers.ChoiceField(ReviewRole.choices)
    at = TimeObject()


class Said(serializers.Serializer):
    """What staff said: comments, and who reviewed it as it stands now."""

    comments = StaffComment(many=True)
    reviewed = Reviewed(allow_null=True, help_text="Null until somebody marked it as reviewed.")
    reviewed_before_correction = serializers.BooleanField()
    review_text = serializers.CharField()


class ReadingLink(serializers.Serializer):
    topic = serializers.CharField()
    title = serializers.CharField()
    href = serializers.CharField()
    language = serializers.CharField()


class Entered(serializers.Serializer):
    by = serializers.ChoiceField(["you", "patient", "caregiver"])
    words = serializers.CharField(help_text="Show this wherever you show the result.")
    where = serializers.CharField(help_text="Where it was measured, as typed in.")


class Result(Said):
    id = serializers.UUIDField()
    report_id = serializers.UUIDField(allow_null=True, help_text="Null when typed in.")
    version = serializers.IntegerField()
    analyte = serializers.CharField(allow_null=True)
    panel = serializers.CharField(help_text="Key of the group that it is shown in.")
    origin = serializers.ChoiceField(["laboratory", "derived", "patient"])
    is_new = serializers.BooleanField(help_text="You have not opened its report since it came.")
    loinc = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    plain_name = serializers.CharField()
    what = serializers.CharField()
    value = ResultValue()
    range = ResultRange(allow_null=True)
    state = serializers.ChoiceField([state.value for state in PortalState])
    tier = serializers.ChoiceField([tier.value for tier in Tier])
    reason = serializers.CharField()
    meaning = serializers.CharField()
    what_to_do = serializers.CharField()
    rule = Rule()
    flags = serializers.ListField(child=serializers.CharField())
    status = serializers.CharField(help_text="FHIR ObservationStatus.")
    change = Change(allow_null=True)
    was = Was(allow_null=True)
    collected = TimeObject()
    resulted = TimeObject(allow_null=True)
    released = TimeObject(allow_null=True)
    lab_comment = serializers.CharField()
    specimen = Sampled(allow_null=True, help_text="Null when the laboratory did not say.")
    worked_out = WorkedOut(allow_null=True)
    not_worked_out = NotWorkedOut(allow_null=True, help_text="Why calcium was not corrected.")
    entered = Entered(allow_null=True, help_text="Null unless a person typed it in.")
    links = ReadingLink(many=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        # `label` is an attribute of every serializer.
        return {**super().get_fields(), "label": serializers.CharField()}


class NotReleased(serializers.Serializer):
    text = serializers.CharField(help_text="The same whatever waits.")
    latest = serializers.DateField(help_text="Released on this day at the latest, local to her.")


class Report(Said):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(REPORT_KINDS)
    kind_text = serializers.CharField(help_text="What such a report is, in plain words.")
    name = serializers.CharField()
    loinc = serializers.CharField(allow_null=True)
    laboratory = serializers.CharField()
    category = serializers.CharField(allow_null=True)
    status = serializers.CharField(help_text="FHIR DiagnosticReportStatus.")
    corrected = serializers.BooleanField(help_text="One of the results shown was corrected.")
    is_new = serializers.BooleanField(help_text="You have not opened all of it.")
    collected = TimeObject()
    resulted = TimeObject(allow_null=True)
    released = TimeObject(allow_null=True)
    not_released = NotReleased(
        allow_null=True, help_text="Some tests of this visit wait, and the clinic says so."
    )


class PanelOfReport(serializers.Serializer):
    key = serializers.CharField()
    title = serializers.CharField()
    what = serializers.CharField()
    result_ids = serializers.ListField(child=serializers.UUIDField())


class NarrativeSection(serializers.Serializer):
    result_id = serializers.UUIDField()
    title = serializers.CharField()
    text = serializers.CharField(help_text="As the laboratory wrote it, line by line.")


class ReportDocument(serializers.Serializer):
    id = serializers.UUIDField()
    title = serializers.CharField()
    type = serializers.CharField(help_text="Media type, by the first bytes of the file.")
    bytes = serializers.IntegerField()
    at = TimeObject()


class ReportDetail(Report, Section):
    narrative = NarrativeSection(
        many=True, help_text="The texts of a report in words, also among `results`."
    )
    documents = ReportDocument(many=True)
    results = Result(many=True, help_text="In the laboratory's order.")
    panels = PanelOfReport(many=True, help_text="The same results by group, for a page.")
    note = serializers.CharField()


class ReportList(ListFrame):
    items = Report(many=True)
    new_count = serializers.IntegerField(
        help_text="Of all reports, how many are new to you; 0 on an empty page."
    )


class ReadReport(serializers.Serializer):
    as_of = serializers.DateTimeField(
        required=False, help_text="`as_of` of the answer that was read; left out, now."
    )


class SeenReport(serializers.Serializer):
    report_id = serializers.UUIDField()
    seen = TimeObject()


class OutsideResult(serializers.Serializer):
    analyte = serializers.CharField(max_length=40, help_text="A key of the catalogue.")
    value = serializers.CharField(max_length=40, help_text="As printed: 41, 7.2 or <5.")
    unit = serializers.CharField(max_length=40, allow_blank=True, help_text="As printed.")
    range = serializers.CharField(
        max_length=100, allow_blank=True, default="", help_text="As printed: 7-35, <5."
    )
    taken_on = serializers.DateField(help_text="Day of the blood test.")
    where = serializers.CharField(max_length=120, help_text="Laboratory or clinic.")
    decimal_comma = serializers.BooleanField(
        default=False, help_text="The paper writes 7,2 for 7.2."
    )


class ResultList(ListFrame):
    items = Result(many=True)
    note = serializers.CharField()


class AnalyteEntry(serializers.Serializer):
    key = serializers.CharField()
    name = serializers.CharField()
    plain_name = serializers.CharField()


class AnalyteList(ListFrame):
    items = AnalyteEntry(many=True)


class TrendPoint(serializers.Serializer):
    result_id = serializers.UUIDField()
    at = TimeObject()
    number = serializers.CharField(help_text="In the unit of the series.")
    text = serializers.CharField(help_text="As the laboratory wrote it.")
    unit = serializers.CharField(allow_null=True, help_text="As the laboratory wrote it.")
    marker = serializers.ChoiceField(["closed", "open_below", "open_above"])
    state = serializers.ChoiceField([state.value for state in PortalState])

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "label": serializers.CharField()}


class TrendLine(serializers.Serializer):
    method_family = serializers.CharField()
    points = TrendPoint(many=True)


class TrendBand(serializers.Serializer):
    result_id = serializers.UUIDField()
    at = TimeObject()
    low = serializers.CharField(allow_null=True)
    high = serializers.CharField(allow_null=True)


class ExcludedResult(serializers.Serializer):
    result_id = serializers.UUIDField()
    at = TimeObject()
    text = serializers.CharField()
    unit = serializers.CharField(allow_null=True)
    reason = serializers.ChoiceField([reason.value for reason in ExclusionReason])


class TrendChange(serializers.Serializer):
    direction = serializers.ChoiceField(["up", "down", "same"])
    percent = serializers.CharField(allow_null=True, help_text="Of the earlier number.")
    beyond_usual_variation = serializers.BooleanField(
        allow_null=True, help_text="Null: no figure is known. No verdict; do not show it as one."
    )


class TrendBaseline(serializers.Serializer):
    number = serializers.CharField(help_text="In the unit of the series.")
    basis = serializers.ChoiceField([basis.value for basis in BaselineBasis])
    results = serializers.IntegerField(help_text="How many it is the median of; 0 = it was set.")
    change = TrendChange(allow_null=True, help_text="The latest number against it.")


class TrendTreatment(serializers.Serializer):
    number = serializers.IntegerField(help_text="The number of its marks in the picture.")
    name = serializers.CharField()
    starts_on = serializers.DateField()
    ends_on = serializers.DateField(allow_null=True)


class TrendData(Section):
    analyte = serializers.CharField()
    plain_name = serializers.CharField()
    unit = serializers.CharField(help_text="UCUM, of every number of the series.")
    unit_text = serializers.CharField(help_text="The same as the laboratory writes it.")
    description = serializers.CharField(help_text="The picture in words.")
    lines = TrendLine(many=True)
    entered = TrendPoint(
        many=True, help_text="Typed in, not by the clinic: draw them apart, join them to nothing."
    )
    bands = TrendBand(many=True)
    excluded = ExcludedResult(many=True)
    change = TrendChange(allow_null=True, help_text="Since the last one.")
    baseline = TrendBaseline(allow_null=True)
    usual_variation_percent = serializers.CharField(
        allow_null=True, help_text="Reference change value: a smaller change is noise."
    )
    rises = serializers.IntegerField(help_text="How many times in a row it went up until now.")
    treatments = TrendTreatment(many=True)


class FindMessage(serializers.Serializer):
    sender = serializers.SlugField(
        allow_null=True, default=None, max_length=40, help_text="The laboratory's key."
    )
    control_id = serializers.CharField(max_length=255, help_text="MSH-10.")


class MessageLine(serializers.Serializer):
    obx_index = serializers.IntegerField(help_text="Counts OBX through the message, from 1.")
    outcome = serializers.ChoiceField(["stored", "queued", "unchanged", "waiting", "not-filed"])
    loinc = serializers.CharField(allow_null=True)
    analyte = serializers.CharField(allow_null=True)
    state = serializers.CharField(
        allow_null=True, help_text="Null unless the caller may read the result."
    )
    rule = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class FoundMessage(serializers.Serializer):
    id = serializers.UUIDField()
    sender = serializers.CharField(allow_null=True)
    control_id = serializers.CharField()
    received = TimeObject()
    ack = serializers.ChoiceField(["AA", "AE", "AR"])
    receipt = serializers.CharField()
    disposition = serializers.CharField(
        help_text="stored, queued, received, duplicate, test-area or refused."
    )
    reasons = serializers.ListField(child=serializers.CharField())
    lines = MessageLine(many=True)


class FoundMessages(serializers.Serializer):
    messages = FoundMessage(many=True)
