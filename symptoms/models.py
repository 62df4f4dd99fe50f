"""Check-ins: the questions, when they are asked, and what she answered."""

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from core.models import BaseModel
from patients.models import Patient


class Questionnaire(BaseModel):
    """A set of questions under a stable key. FHIR Questionnaire (all versions of it)."""

    key = models.SlugField(max_length=60, unique=True)

    def __str__(self) -> str:
        return self.key


class QuestionnaireVersion(BaseModel):
    """One version of the questions. FHIR Questionnaire.

    Once active, neither it nor its items change: a trigger refuses, whoever writes. An empty
    `reviewed_by` means that no clinician has reviewed it yet, and the answers say so.
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"
        RETIRED = "retired"

    questionnaire = models.ForeignKey(
        Questionnaire, models.PROTECT, related_name="versions", related_query_name="version"
    )
    version = models.PositiveSmallIntegerField()
    title = models.JSONField(help_text="Words by language")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT)
    content_digest = models.CharField(max_length=64)
    published_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.CharField(max_length=120, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["questionnaire", "version"], name="questionnaire_version_once"
            ),
            models.UniqueConstraint(
                fields=["questionnaire"],
                condition=Q(status="active"),
                name="questionnaire_one_active_version",
            ),
            models.CheckConstraint(
                condition=Q(status="draft", published_at__isnull=True)
                | (~Q(status="draft") & Q(published_at__isnull=False)),
                name="questionnaire_published_when_not_draft",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_by="", reviewed_at__isnull=True)
                | (~Q(reviewed_by="") & Q(reviewed_at__isnull=False)),
                name="questionnaire_review_paired",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.questionnaire_id} v{self.version}"


class QuestionnaireItem(BaseModel):
    """One question. FHIR Questionnaire.item.

    `link_id` is stable across versions. `asks` says what the answer is about: an attribute of
    a symptom, the red flags that are present, the temperature, or whether it can wait.
    `enabled_by` is the item of the same symptom that must be above 0 for this one to be asked.
    """

    class Asks(models.TextChoices):
        FREQUENCY = "frequency"
        SEVERITY = "severity"
        INTERFERENCE = "interference"
        PRESENT = "present"
        ACTIVITY_LEVEL = "activity_level"
        TEMPERATURE = "temperature"
        RED_FLAG = "red_flag"
        CAN_WAIT = "can_wait"

    version = models.ForeignKey(QuestionnaireVersion, models.CASCADE, related_name="items")
    position = models.PositiveSmallIntegerField()
    link_id = models.CharField(max_length=60)
    symptom_key = models.CharField(max_length=40, blank=True)
    asks = models.CharField(max_length=16, choices=Asks.choices)
    words = models.JSONField(help_text="The question by language")
    options = models.JSONField(
        default=list, help_text="[{value, words by language}]; empty for numbers"
    )
    enabled_by = models.CharField(max_length=60, blank=True)
    required = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "link_id"], name="item_link_once"),
            models.UniqueConstraint(fields=["version", "position"], name="item_position_once"),
            models.CheckConstraint(
                condition=Q(asks__in=["red_flag", "can_wait"], symptom_key="")
                | (~Q(asks__in=["red_flag", "can_wait"]) & ~Q(symptom_key="")),
                name="item_about_a_symptom",
            ),
        ]

    def __str__(self) -> str:
        return self.link_id


class CheckInPlan(BaseModel):
    """She is asked this questionnaire every so many weeks, at her hour. FHIR CarePlan activity.

    Wall-clock terms in `zone`; `next_due_on` is the occurrence that is planned next, and
    `next_opens_at` its instant, which planning reads. A pause from `paused_from` until before
    `resumes_on` (open when empty) skips occurrences; a stopped plan (`is_active` false) never
    asks again.
    """

    class PauseReason(models.TextChoices):
        IN_HOSPITAL = "in-hospital"
        HOLIDAY = "holiday"
        GRIEF = "grief"
        STAFF = "staff"

    class StopReason(models.TextChoices):
        ENDED = "ended"
        OPTED_OUT = "opted-out"
        DECEASED = "deceased"
        HOSPICE = "hospice"
        INACTIVE = "inactive"

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    questionnaire = models.ForeignKey(Questionnaire, models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    every_weeks = models.PositiveSmallIntegerField(default=1)
    iso_weekday = models.PositiveSmallIntegerField()
    hour = models.PositiveSmallIntegerField()
    zone = models.CharField(max_length=64, help_text="IANA time zone")
    starts_on = models.DateField()
    stops_on = models.DateField(null=True, blank=True)
    next_due_on = models.DateField()
    next_opens_at = models.DateTimeField()
    paused_from = models.DateField(null=True, blank=True)
    resumes_on = models.DateField(null=True, blank=True)
    paused_reason = models.CharField(max_length=12, choices=PauseReason.choices, blank=True)
    is_active = models.BooleanField(default=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=12, choices=StopReason.choices, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "questionnaire"],
                condition=Q(is_active=True),
                name="plan_active_once",
            ),
            models.CheckConstraint(
                condition=Q(every_weeks__gte=1, every_weeks__lte=12), name="plan_every_weeks"
            ),
            models.CheckConstraint(
                condition=Q(iso_weekday__gte=1, iso_weekday__lte=7), name="plan_weekday"
            ),
            models.CheckConstraint(
                condition=Q(hour__gte=8, hour__lte=20), name="plan_hour_outside_the_night"
            ),
            models.CheckConstraint(
                condition=Q(stops_on__isnull=True) | Q(starts_on__lte=F("stops_on")),
                name="plan_start_before_stop",
            ),
            models.CheckConstraint(
                condition=Q(is_active=True, stopped_at__isnull=True, stop_reason="")
                | (Q(is_active=False, stopped_at__isnull=False) & ~Q(stop_reason="")),
                name="plan_stopped_says_why",
            ),
            models.CheckConstraint(
                condition=Q(paused_from__isnull=True, resumes_on__isnull=True, paused_reason="")
                | (
                    Q(paused_from__isnull=False)
                    & ~Q(paused_reason="")
                    & (Q(resumes_on__isnull=True) | Q(paused_from__lt=F("resumes_on")))
                ),
                name="plan_paused_says_why",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_opens_at"], condition=Q(is_active=True), name="plan_next_due"
            ),
            models.Index(fields=["patient"], name="plan_by_patient"),
        ]

    def __str__(self) -> str:
        return f"check-in plan {str(self.id)[-6:]}"


class CheckIn(BaseModel):
    """One occurrence of a plan: she is asked on this day. FHIR Task.

    Open from her hour on the due day until `expires_at`, three days later; then staff call. A
    later answer is accepted and marked.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        ANSWERED = "answered"
        MISSED = "missed"
        CANCELLED = "cancelled"

    plan = models.ForeignKey(CheckInPlan, models.PROTECT, related_name="check_ins")
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    version = models.ForeignKey(QuestionnaireVersion, models.PROTECT, related_name="+")
    due_on = models.DateField()
    opens_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    cancelled_reason = models.CharField(max_length=20, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    planned_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "due_on"], name="check_in_once_a_due_date"),
            models.CheckConstraint(
                condition=Q(opens_at__lt=F("expires_at")), name="check_in_opens_before_it_expires"
            ),
            models.CheckConstraint(
                condition=Q(status="open", settled_at__isnull=True)
                | (~Q(status="open") & Q(settled_at__isnull=False)),
                name="check_in_settled_when_done",
            ),
            models.CheckConstraint(
                condition=(Q(status="cancelled") & ~Q(cancelled_reason=""))
                | (~Q(status="cancelled") & Q(cancelled_reason="")),
                name="check_in_cancelled_says_why",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "opens_at"], name="check_in_by_patient"),
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="check_in_silent"),
        ]

    def __str__(self) -> str:
        return f"check-in {str(self.id)[-6:]}"


class QuestionnaireResponse(BaseModel):
    """What she answered at one time. FHIR QuestionnaireResponse. Never edited.

    `client_id` is made by the phone, so that sending again after a lost answer changes
    nothing. Without a check-in it is a report of her own.
    """

    append_only = True

    class Mode(models.TextChoices):
        SELF = "self"
        PROXY = "proxy"
        PHONE = "phone"

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    check_in = models.ForeignKey(
        CheckIn, models.PROTECT, null=True, blank=True, related_name="responses"
    )
    version = models.ForeignKey(QuestionnaireVersion, models.PROTECT, related_name="+")
    client_id = models.UUIDField()
    mode = models.CharField(max_length=8, choices=Mode.choices)
    entered_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    is_late = models.BooleanField(default=False)
    answered_on = models.DateField()
    submitted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["patient", "client_id"], name="response_once"),
            models.UniqueConstraint(
                fields=["check_in"],
                condition=Q(check_in__isnull=False),
                name="response_one_a_check_in",
            ),
        ]
        indexes = [models.Index(fields=["patient", "submitted_at"], name="response_by_patient")]

    def __str__(self) -> str:
        return f"response {str(self.id)[-6:]}"


class Answer(BaseModel):
    """One answer of a response. FHIR QuestionnaireResponse.item.

    Levels are 0 to 4, presence 0 or 1, a temperature its number. `code` is the red flag that
    was ticked, or the unit of a temperature. A question she would rather not answer has no
    value: it is missing, never 0.
    """

    append_only = True

    response = models.ForeignKey(QuestionnaireResponse, models.CASCADE, related_name="answers")
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    link_id = models.CharField(max_length=60)
    symptom_key = models.CharField(max_length=40, blank=True)
    attribute = models.CharField(max_length=16, choices=QuestionnaireItem.Asks.choices)
    value = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    code = models.CharField(max_length=40, blank=True)
    answered_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["response", "link_id", "code"], name="answer_once"),
            models.CheckConstraint(
                condition=Q(value__isnull=True)
                | Q(
                    attribute__in=["frequency", "severity", "interference", "activity_level"],
                    value__gte=0,
                    value__lte=4,
                )
                | Q(attribute__in=["present", "red_flag", "can_wait"], value__gte=0, value__lte=1)
                | Q(attribute="temperature", value__gte=0, value__lt=200),
                name="answer_in_range",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "symptom_key", "answered_at"], name="answer_by_symptom")
        ]

    def __str__(self) -> str:
        return f"answer {str(self.id)[-6:]}"


class Composite(BaseModel):
    """The composite grade (0 to 3) of one symptom in one response, kept beside the answers."""

    append_only = True

    response = models.ForeignKey(QuestionnaireResponse, models.CASCADE, related_name="composites")
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    symptom_key = models.CharField(max_length=40)
    grade = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["response", "symptom_key"], name="composite_once"),
            models.CheckConstraint(condition=Q(grade__lte=3), name="composite_range"),
        ]


class SymptomAlert(BaseModel):
    """A rule that the answers met, and the work item it joined. FHIR DetectedIssue."""

    append_only = True

    response = models.ForeignKey(QuestionnaireResponse, models.CASCADE, related_name="alerts")
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="+")
    symptom_key = models.CharField(max_length=40, blank=True)
    red_flag_key = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=30)
    concern = models.CharField(max_length=40)
    urgency = models.CharField(max_length=12)
    rule_version = models.CharField(max_length=20)
    work_item_id = models.UUIDField()
    raised_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["response", "symptom_key", "red_flag_key", "reason"], name="alert_once"
            )
        ]
        indexes = [models.Index(fields=["patient", "raised_at"], name="alert_by_patient")]

    def __str__(self) -> str:
        return f"alert {str(self.id)[-6:]}"
