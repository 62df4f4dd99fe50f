"""Shapes of the notification history."""

from typing import Any

from rest_framework import serializers

from core.api.serializers import ListFrame, TimeObject


class NoticeSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    purpose = serializers.CharField()
    channel = serializers.CharField()
    state = serializers.CharField()
    why = serializers.CharField()
    why_not = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    subject = serializers.CharField()
    planned_at = TimeObject()
    send_after = TimeObject()
    settled_at = TimeObject(allow_null=True)


class NoticeListSerializer(ListFrame):
    items = NoticeSerializer(many=True)
