"""Shapes of the library in the API."""

from rest_framework import serializers


class ArticleCardSerializer(serializers.Serializer):
    topic = serializers.CharField()
    section = serializers.CharField()
    slug = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    language = serializers.CharField(help_text="Language of the text, en where not translated.")
    audience = serializers.CharField(help_text="mbc, early, relatives or all.")
    version = serializers.IntegerField()
    review = serializers.CharField(help_text="Who reviewed it, or that no clinician has yet.")
    href = serializers.CharField(help_text="API path.")
    page = serializers.CharField(help_text="Address for a browser.")


class SectionOfTopicsSerializer(serializers.Serializer):
    section = serializers.CharField()
    articles = ArticleCardSerializer(many=True)


class TopicsSerializer(serializers.Serializer):
    language = serializers.CharField()
    sections = SectionOfTopicsSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())


class ArticleSectionSerializer(serializers.Serializer):
    anchor = serializers.CharField()
    heading = serializers.CharField()
    sensitivity = serializers.CharField(allow_null=True, help_text="prognosis, or null.")
    hidden = serializers.BooleanField(help_text="True until the reader chooses to see it.")
    markdown = serializers.CharField(allow_null=True)
    html = serializers.CharField(allow_null=True)


class SourceSerializer(serializers.Serializer):
    title = serializers.CharField()
    publisher = serializers.CharField()
    year = serializers.IntegerField(allow_null=True)
    url = serializers.CharField(allow_null=True)


class ArticleSerializer(ArticleCardSerializer):
    requested_language = serializers.CharField()
    sites = serializers.ListField(child=serializers.CharField())
    subtypes = serializers.ListField(child=serializers.CharField())
    treatments = serializers.ListField(child=serializers.CharField())
    emergency_box = serializers.BooleanField(help_text="True: draw the section `call` first.")
    reading_grade = serializers.DecimalField(max_digits=3, decimal_places=1, allow_null=True)
    reviewed_by = serializers.CharField(help_text="Empty while nobody has reviewed it.")
    reviewed_on = serializers.DateField(allow_null=True)
    next_review = serializers.DateField()
    published_at = serializers.DateTimeField()
    html = serializers.CharField(help_text="Sanitised HTML of the sections that are shown.")
    markdown = serializers.CharField()
    sections = ArticleSectionSerializer(many=True)
    sources = SourceSerializer(many=True)
    related = ArticleCardSerializer(many=True)
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="language-fallback, not-clinically-reviewed."
    )


class SearchHitSerializer(serializers.Serializer):
    topic = serializers.CharField()
    slug = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    audience = serializers.CharField()
    language = serializers.CharField()
    anchor = serializers.CharField(help_text="The section that fits the words best.")
    heading = serializers.CharField()
    excerpt_html = serializers.CharField(help_text="Escaped text; <mark> is the only tag.")
    href = serializers.CharField()
    page = serializers.CharField()


class SearchSerializer(serializers.Serializer):
    items = SearchHitSerializer(many=True)
    language = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())


class FittingArticleSerializer(ArticleCardSerializer):
    reasons = serializers.ListField(
        child=serializers.CharField(),
        help_text="Recorded facts that brought it forward, such as `site:liver`.",
    )


class FittingSerializer(serializers.Serializer):
    items = FittingArticleSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())
