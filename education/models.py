"""The library in the database: topics, articles, versions, and what opens them.

Public content, no patient data, so no row security. What was published stays as it was:
triggers (migration 0002) refuse every change of a published or retired version and its parts.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from core.models import BaseModel
from education.articles import AUDIENCES, LANGUAGES, RULES, SECTIONS, SENSITIVITIES


def _choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class Topic(BaseModel):
    """What an article is about, by the key that results, symptoms and profiles name."""

    key = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120, help_text="working title, English")
    section = models.CharField(max_length=24, choices=_choices(SECTIONS))
    order = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["order"]

    def __str__(self) -> str:
        return self.key


class TopicAddress(BaseModel):
    """An address once given to a topic is never another topic's, so old links stay true."""

    append_only = True

    slug = models.SlugField(max_length=60, unique=True)
    topic = models.ForeignKey(Topic, models.PROTECT, related_name="addresses")

    def __str__(self) -> str:
        return self.slug


class Article(BaseModel):
    """A topic in one language. FHIR has no such resource; its versions carry the text."""

    topic = models.ForeignKey(Topic, models.PROTECT, related_name="articles")
    language = models.CharField(max_length=2, choices=_choices(LANGUAGES))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["topic", "language"], name="article_once"),
            models.CheckConstraint(
                condition=Q(language__in=LANGUAGES), name="article_language_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic.key} ({self.language})"


class ArticleVersion(BaseModel):
    """One text of an article. `source` is the whole file; the other columns are read from it.

    `origin` says where the text was written: in the repository (upstream, nobody's account)
    or in the admin (staff); an upstream draft that staff edit is theirs from then on.
    `reading_grade` is a US school grade, None for a language that has no measure yet.
    `reviewed_by` is empty while no clinician has reviewed the text.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        IN_REVIEW = "in_review"
        PUBLISHED = "published"
        RETIRED = "retired"

    class Origin(models.TextChoices):
        UPSTREAM = "upstream"
        STAFF = "staff"

    article = models.ForeignKey(Article, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    source = models.TextField()
    source_sha256 = models.CharField(max_length=64)
    upstream_sha256 = models.CharField(
        max_length=64, blank=True, help_text="digest of the repository's file, as it was taken over"
    )
    upstream_version = models.PositiveIntegerField(help_text="version that the file gives itself")

    title = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60)
    summary = models.CharField(max_length=160)
    body = models.TextField(help_text="Markdown without the front matter")
    html = models.TextField(help_text="sanitised; sections behind a choice are left out")
    audience = models.CharField(max_length=9, choices=_choices(AUDIENCES))
    sites = ArrayField(models.CharField(max_length=8), default=list, blank=True)
    subtypes = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    treatments = ArrayField(models.CharField(max_length=24), default=list, blank=True)
    related = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    emergency_box = models.BooleanField()
    reading_grade = models.DecimalField(max_digits=3, decimal_places=1, null=True, blank=True)
    override_reason = models.CharField(max_length=300, blank=True)
    reviewed_by = models.CharField(max_length=120, blank=True)
    reviewed_on = models.DateField(null=True, blank=True)
    next_review = models.DateField()
    search = SearchVectorField(null=True, editable=False)

    written_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    written_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    published_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["article", "number"], name="version_number_once"),
            models.UniqueConstraint(
                fields=["article"], condition=Q(state="published"), name="version_published_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["published", "retired"], published_at__isnull=False)
                | Q(state__in=["draft", "in_review"], published_at__isnull=True),
                name="version_published_at",
            ),
            models.CheckConstraint(
                condition=Q(state="retired", retired_at__isnull=False)
                | (~Q(state="retired") & Q(retired_at__isnull=True)),
                name="version_retired_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="in_review") | Q(submitted_at__isnull=False),
                name="version_submitted_at",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_by="", reviewed_on__isnull=True)
                | (~Q(reviewed_by="") & Q(reviewed_on__isnull=False)),
                name="version_reviewer_and_day",
            ),
            models.CheckConstraint(
                condition=Q(origin="staff", written_by__isnull=False)
                | Q(origin="upstream", written_by__isnull=True),
                name="version_staff_writer",
            ),
            models.CheckConstraint(
                condition=Q(written_by__isnull=True)
                | Q(published_at__isnull=True)
                | (Q(published_by__isnull=False) & ~Q(published_by=F("written_by"))),
                name="version_two_people",
            ),
        ]
        indexes = [
            GinIndex(fields=["search"], condition=Q(state="published"), name="version_search"),
        ]

    def __str__(self) -> str:
        return f"{self.slug} v{self.number}"


class Section(BaseModel):
    """One question and its answer. `sensitivity` empty means shown without asking."""

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="sections")
    position = models.PositiveSmallIntegerField()
    anchor = models.SlugField(max_length=60)
    heading = models.CharField(max_length=200)
    markdown = models.TextField()
    html = models.TextField()
    text = models.TextField(help_text="plain words, for search")
    sensitivity = models.CharField(
        max_length=10, choices=_choices(SENSITIVITIES), blank=True, default=""
    )
    search = SearchVectorField(null=True, editable=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["version", "anchor"], name="section_anchor_once"),
            models.UniqueConstraint(fields=["version", "position"], name="section_position_once"),
        ]

    def __str__(self) -> str:
        return f"#{self.anchor}"


class ArticleLink(BaseModel):
    """Which results open a version and where; the first entry that holds wins.

    `loincs` empty means every code. (version, anchor) refers to a section.
    """

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="links")
    position = models.PositiveSmallIntegerField()
    analyte = models.CharField(max_length=40)
    loincs = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    states = ArrayField(models.CharField(max_length=20))
    rule = models.CharField(max_length=12, choices=_choices(RULES))
    rank = models.PositiveSmallIntegerField()
    anchor = models.SlugField(max_length=60)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="link_position_once"),
            models.CheckConstraint(
                condition=Q(rank__gte=1, rank__lte=9), name="link_rank_one_to_nine"
            ),
            models.CheckConstraint(
                condition=(Q(analyte="*") & Q(loincs=[])) | (~Q(analyte="*") & ~Q(loincs=[])),
                name="link_every_code_or_some",
            ),
        ]
        indexes = [GinIndex(fields=["loincs"], name="link_by_loinc")]

    def __str__(self) -> str:
        return f"{self.analyte}: {self.rule}"


class SymptomLink(BaseModel):
    """Which symptom opens a version and where."""

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="symptoms")
    symptom = models.CharField(max_length=40)
    anchor = models.SlugField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "symptom"], name="symptom_link_once")
        ]
        indexes = [models.Index(fields=["symptom"], name="symptom_link_by_key")]

    def __str__(self) -> str:
        return self.symptom


class RedFlagLink(BaseModel):
    """Which red flag opens a version and where."""

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="red_flags")
    red_flag = models.CharField(max_length=60)
    anchor = models.SlugField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "red_flag"], name="red_flag_link_once")
        ]
        indexes = [models.Index(fields=["red_flag"], name="red_flag_link_by_key")]

    def __str__(self) -> str:
        return self.red_flag


class Citation(BaseModel):
    """Where the facts of a version come from; year and url are None where not known."""

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="citations")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300)
    publisher = models.CharField(max_length=200)
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    url = models.URLField(max_length=500, null=True, blank=True)  # noqa: DJ001 - None: not known

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="citation_position_once"),
            models.CheckConstraint(condition=~Q(title=""), name="citation_has_title"),
        ]

    def __str__(self) -> str:
        return f"source {self.position}"


class Edition(BaseModel):
    """The published library as a whole, counted: one row for every time it changed."""

    append_only = True

    number = models.PositiveIntegerField(unique=True)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"edition {self.number}"
