"""Her visits in a calendar program, and where the link in a message leads."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from appointments import capabilities, selectors, services
from appointments.api.views import AppointmentView
from appointments.calendar_files import MEDIA_TYPE
from appointments.models import CalendarFeed
from appointments.services.links import LINK_SCOPES, Standing
from core.api.negotiation import OneRenderer
from core.api.renderers import JSONRenderer
from core.api.serializers import ListFrame, TimeObject
from core.areas import Area
from core.context import current_client
from core.errors import FieldError, Forbidden, InvalidInput, NotFound
from core.timeobject import time_object, time_object_or_none
from patients.api.views import PersonalView, person, scopes_of
from patients.selectors import viewer_in
from patients.viewer import Viewer


class CalendarRenderer(JSONRenderer):
    """A calendar out; a problem in its place stays JSON."""

    media_type = "text/calendar"
    format = "ics"


class CalendarFileView(AppointmentView):
    """One visit as a file for a calendar program."""

    operation = "appointments.calendar.read"
    renderer_classes = (CalendarRenderer,)
    content_negotiation_class = OneRenderer

    @extend_schema(
        operation_id="readAppointmentCalendar",
        parameters=[
            OpenApiParameter(
                "titles",
                enum=CalendarFeed.Titles.values,
                default=CalendarFeed.Titles.DISCREET.value,
                description="full says what the visit is and where; discreet gives nothing away.",
            )
        ],
        responses={(200, "text/calendar"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, appointment_id: UUID) -> Response:
        """The visit as iCalendar: METHOD REQUEST, or CANCEL once it is cancelled."""
        titles = request.query_params.get("titles", CalendarFeed.Titles.DISCREET)
        if titles not in CalendarFeed.Titles.values:
            raise InvalidInput(errors=(FieldError("titles", "invalid_choice", "Not a choice."),))
        made = services.visit_file(
            viewer=self.viewer,
            appointment_id=appointment_id,
            full=titles == CalendarFeed.Titles.FULL,
        )
        self.seen = made.appointment_ids
        return Response(
            made.content,
            content_type=MEDIA_TYPE,
            headers={"Content-Disposition": 'attachment; filename="appointment.ics"'},
        )


# --- addresses that a calendar program reads again --------------------------------------------


class CalendarFeedRequest(serializers.Serializer[Any]):
    titles = serializers.ChoiceField(
        CalendarFeed.Titles.choices,
        default=CalendarFeed.Titles.DISCREET.value,
        help_text="full says what each visit is and where; discreet gives nothing away.",
    )


class CalendarFeedItem(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    titles = serializers.ChoiceField(CalendarFeed.Titles.choices)
    whose = serializers.ChoiceField(
        ["mine", "patient", "caregiver"], help_text="Who made it, seen by the reader."
    )
    made = TimeObject()
    last_read = TimeObject(allow_null=True)


class NewCalendarFeed(CalendarFeedItem):
    address = serializers.CharField(help_text="Shown now and never again. Whoever has it reads.")
    webcal = serializers.CharField(help_text="The same, for programs that subscribe by a tap.")


class CalendarFeedList(ListFrame):
    items = CalendarFeedItem(many=True)


class CalendarFeedView(AppointmentView):
    resource = "Schedule"
    scopes = {
        "GET": Scope.APPOINTMENTS_READ,
        "POST": Scope.APPOINTMENTS_WRITE,
        "DELETE": Scope.APPOINTMENTS_WRITE,
    }

    def item(self, feed: CalendarFeed) -> dict[str, Any]:
        zone, language = self.viewer.zone, self.viewer.language
        others = "caregiver" if self.viewer.kind == "patient" else "patient"
        return {
            "id": feed.id,
            "titles": feed.titles,
            "whose": "mine" if feed.user_id == self.viewer.user_id else others,
            "made": time_object(feed.made_at, zone, language),
            "last_read": time_object_or_none(feed.last_read_at, zone, language),
        }


class CalendarFeedListView(CalendarFeedView):
    operation = "appointments.feeds.list"

    @extend_schema(operation_id="listCalendarFeeds", responses=CalendarFeedList)
    def get(self, request: Request) -> Response:
        """The calendar addresses in use. A patient sees her caregivers' too."""
        feeds = list(selectors.calendar_feeds_for(self.viewer).order_by("made_at", "id"))
        self.seen = [feed.id for feed in feeds]
        return self.framed([self.item(feed) for feed in feeds])

    @extend_schema(
        operation_id="makeCalendarFeed",
        request=CalendarFeedRequest,
        responses={201: NewCalendarFeed},
    )
    def post(self, request: Request) -> Response:
        """Make an address at which a calendar program reads her visits."""
        body = CalendarFeedRequest(data=request.data)
        body.is_valid(raise_exception=True)
        made = services.make_feed(
            viewer=self.viewer, titles=body.validated_data["titles"], now=self.now
        )
        self.seen = [made.feed.id]
        path = reverse("calendar_feed", args=[made.token])
        host = settings.BASE_URL.partition("://")[2]
        return Response(
            {
                **self.item(made.feed),
                "address": f"{settings.BASE_URL}{path}",
                "webcal": f"webcal://{host}{path}",
            },
            status=201,
            headers={"Location": f"{request.path}/{made.feed.id}"},
        )


class CalendarFeedDetailView(CalendarFeedView):
    operation = "appointments.feeds.revoke"

    @extend_schema(operation_id="revokeCalendarFeed", responses={204: None})
    def delete(self, request: Request, feed_id: UUID) -> Response:
        """End an address at once. A patient may end her caregivers' too."""
        services.revoke_feed(viewer=self.viewer, feed_id=feed_id, now=self.now)
        self.seen = [feed_id]
        return Response(status=204)


# --- the link in a message --------------------------------------------------------------------


class VisitLinkRequest(serializers.Serializer[Any]):
    token = serializers.CharField(
        max_length=100, help_text="What follows /v/ in the link of a message."
    )


class ResolvedVisitLink(serializers.Serializer[Any]):
    patient = serializers.UUIDField(help_text="Whose record: use it in place of me.")
    appointment = serializers.UUIDField()
    standing = serializers.ChoiceField(
        [str(each) for each in Standing],
        help_text="What became of the visit since the message was sent.",
    )


class VisitLinkView(PersonalView):
    """For the app that opened a link: which visit it is about, if it was sent to this person."""

    area = Area.APPOINTMENTS
    operation = "appointments.links.resolve"
    resource = "Appointment"
    post_only_reads = True
    http_method_names = ["post"]

    link: capabilities.FoundLink

    def viewer_of(self, request: Request) -> Viewer:
        user = person(request)
        held = scopes_of(request) & LINK_SCOPES
        if Scope.APPOINTMENTS_READ not in held:
            raise Forbidden()
        body = VisitLinkRequest(data=request.data)
        body.is_valid(raise_exception=True)
        link = capabilities.find_link(body.validated_data["token"], now=self.now)
        if link is None or link.user_id != user.pk:
            raise NotFound()
        viewer = viewer_in(user.pk, link.patient_id, scopes=held, client_id=current_client.get())
        if viewer is None:
            raise NotFound()
        viewer.require_grant(Scope.APPOINTMENTS_READ)
        self.link = link
        return viewer

    @extend_schema(
        operation_id="resolveVisitLink", request=VisitLinkRequest, responses=ResolvedVisitLink
    )
    def post(self, request: Request) -> Response:
        """The visit behind a link. 404 for anybody but the person it was sent to."""
        shown = services.read_link(viewer=self.viewer, link=self.link, now=self.now)
        self.seen = [shown.visit.id]
        return Response(
            {
                "patient": self.link.patient_id,
                "appointment": shown.visit.id,
                "standing": str(shown.standing),
            }
        )
