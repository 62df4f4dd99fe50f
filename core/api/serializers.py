"""Shapes that every answer shares, for the OpenAPI document."""

from rest_framework import serializers


class TimeObject(serializers.Serializer):
    """An instant, where it is local, and the words for it."""

    instant = serializers.DateTimeField()
    zone = serializers.CharField()
    local = serializers.CharField(help_text="Wall-clock time in `zone`, to the minute.")
    weekday = serializers.CharField()
    text = serializers.CharField(help_text="For showing.")


class Section(serializers.Serializer):
    """When the answer was true, and which part of it is missing."""

    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class ListFrame(Section):
    """What surrounds a page of items."""

    next = serializers.CharField(allow_null=True, help_text="Send it back as `cursor`.")
