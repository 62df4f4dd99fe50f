"""Shapes of the record's frame in the API; rules are in the services."""

from rest_framework import serializers

from accounts.scopes import Scope
from core.areas import Area
from patients.models import Patient, ProfileFact

_SCOPES = [str(scope) for scope in Scope]


class NullFreeCharField(serializers.CharField):
    """Text that PostgreSQL can hold and a page can show: no control characters."""

    def to_internal_value(self, data: str) -> str:
        text = super().to_internal_value(data)
        if any(not c.isprintable() for c in text):
            raise serializers.ValidationError("Send plain text.", code="control-character")
        return text


# --- out ---


class RecordSerializer(serializers.Serializer):
    patient_id = serializers.UUIDField()
    relation = serializers.ChoiceField(choices=["patient", "proxy"])
    display_name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=_SCOPES))
    zone = serializers.CharField()
    valid_until = serializers.DateTimeField(allow_null=True)


class MeSerializer(serializers.Serializer):
    user_id = serializers.UUIDField()
    display_name = serializers.CharField()
    language = serializers.CharField()
    zone = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    records = RecordSerializer(many=True)


class OrganizationSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    zone = serializers.CharField()
    phone_day = serializers.CharField()
    phone_24h = serializers.CharField()


class FactSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=ProfileFact.Kind.choices)
    code = serializers.CharField()
    result = serializers.ChoiceField(choices=ProfileFact.Result.choices)
    detail = serializers.CharField(allow_blank=True)
    starts_on = serializers.DateField(allow_null=True)
    ends_on = serializers.DateField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]


class PatientSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    relation = serializers.ChoiceField(choices=["patient", "proxy"])
    given_name = serializers.CharField()
    family_name = serializers.CharField()
    birth_date = serializers.DateField()
    sex = serializers.ChoiceField(choices=Patient.Sex.choices)
    language = serializers.CharField()
    zone = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=_SCOPES))
    organizations = OrganizationSerializer(many=True)
    profile = FactSerializer(many=True)
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class ChangeLineSerializer(serializers.Serializer):
    resource = serializers.CharField()
    resource_id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=["upsert", "gone"])
    at = serializers.DateTimeField()


class ChangesSerializer(serializers.Serializer):
    items = ChangeLineSerializer(many=True)
    next = serializers.CharField()
    more = serializers.BooleanField()
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class TimeSerializer(serializers.Serializer):
    instant = serializers.DateTimeField()
    zone = serializers.CharField()
    local = serializers.CharField()
    weekday = serializers.CharField()
    text = serializers.CharField()


class LookSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    at = TimeSerializer()
    who = serializers.CharField()
    what = serializers.CharField()
    text = serializers.CharField()
    refused = serializers.BooleanField()


class LooksSerializer(serializers.Serializer):
    items = LookSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class FoundPatientSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    given_name = serializers.CharField()
    family_name = serializers.CharField()
    birth_date = serializers.DateField()
    sex = serializers.ChoiceField(choices=Patient.Sex.choices)


class FoundPatientsSerializer(serializers.Serializer):
    items = FoundPatientSerializer(many=True)
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class RegisteredSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="`look-alike`: somebody else has this birth date and family name.",
    )


# --- in ---


class ChangesQuerySerializer(serializers.Serializer):
    area = serializers.ChoiceField(choices=[str(area) for area in Area])
    since = serializers.CharField(required=False, max_length=400)


class IdentifierSerializer(serializers.Serializer):
    authority = NullFreeCharField(max_length=120)
    value = NullFreeCharField(max_length=80)
    type = NullFreeCharField(max_length=8, default="MR", help_text="HL7 table 0203")


class NewPatientSerializer(serializers.Serializer):
    given_name = NullFreeCharField(max_length=100)
    family_name = NullFreeCharField(max_length=100)
    birth_date = serializers.DateField()
    sex = serializers.ChoiceField(choices=Patient.Sex.choices, default=Patient.Sex.UNKNOWN)
    language = serializers.ChoiceField(choices=["en", "es"], default="en")
    zone = serializers.CharField(
        max_length=64, required=False, help_text="IANA time zone; the organization's if left out"
    )
    organization = serializers.UUIDField(
        required=False, help_text="Where to enrol her; needed when you work in more than one"
    )
    identifiers = serializers.ListField(child=IdentifierSerializer(), required=False, max_length=10)
    email = serializers.EmailField(
        required=False, max_length=254, help_text="Opens an account; she sets the password by mail"
    )


class FindPatientSerializer(serializers.Serializer):
    """Either a number, or family name and birth date."""

    identifier = IdentifierSerializer(required=False)
    family_name = NullFreeCharField(max_length=100, required=False)
    birth_date = serializers.DateField(required=False)

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        by_name = "family_name" in attrs and "birth_date" in attrs
        if ("identifier" in attrs) == by_name:
            raise serializers.ValidationError(
                "Send a number, or family name and birth date.", code="one-way-to-find"
            )
        return attrs
