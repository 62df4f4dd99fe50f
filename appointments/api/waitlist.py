"""Her place on the waitlist, and the times that are offered to her."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from appointments import services, waitlists
from appointments.api import waitlist_serializers as shapes
from appointments.api.views import AppointmentView
from appointments.api.waitlist_presentation import (
    OFFER_FIELDS,
    entry_json,
    offer_json,
    window_of_request,
)
from appointments.models import WaitlistEntry
from core.api.paging import keyset_page
from core.errors import NotFound


class WaitlistView(AppointmentView):
    resource = "Appointment"

    def entries(self) -> Any:
        return waitlists.shown_entries(self.viewer, now=self.now)

    def one(self, entry_id: UUID) -> dict[str, Any]:
        """Return an entry as the API shows it. Raises: NotFound."""
        entry: WaitlistEntry | None = self.entries().filter(id=entry_id).first()
        if entry is None:
            raise NotFound()
        self.seen = [entry.id]
        return entry_json(entry, self.viewer.language)


class WaitlistListView(WaitlistView):
    operation = "appointments.waitlist.list"

    @extend_schema(
        operation_id="listWaitlist",
        parameters=[shapes.WaitlistQuery],
        responses=shapes.WaitlistItemList,
    )
    def get(self, request: Request) -> Response:
        """What she waits for and has waited for, the latest first."""
        query = shapes.WaitlistQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        entries = self.entries()
        if asked["status"] is not None:
            entries = entries.filter(status=asked["status"])
        page = keyset_page(
            entries,
            order=("-made_at", "-id"),
            bound_to=f"appointments.waitlist:{self.viewer.key}:{asked['status']}",
            cursor=asked["cursor"],
            limit=asked["limit"],
        )
        self.seen = [entry.id for entry in page.rows]
        return self.framed(
            [entry_json(entry, self.viewer.language) for entry in page.rows], following=page.next
        )

    @extend_schema(
        operation_id="joinWaitlist",
        request=shapes.WaitRequest,
        responses={201: shapes.WaitlistItem},
    )
    def post(self, request: Request) -> Response:
        """Wait for a visit, or for an earlier time than that of a visit she has.

        409 `already-waiting` says in `entry` which entry waits for the same.
        """
        body = shapes.WaitRequest(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        made = services.join(
            viewer=self.viewer,
            visit_type_id=wanted["visit_type"],
            appointment_id=wanted["appointment"],
            windows=[window_of_request(window) for window in wanted["windows"]],
            locations=wanted["locations"],
            minimum_notice=timedelta(minutes=wanted["minimum_notice_minutes"]),
            now=self.now,
        )
        return Response(
            self.one(made.id), status=201, headers={"Location": f"{request.path}/{made.id}"}
        )


class WaitlistDetailView(WaitlistView):
    operation = "appointments.waitlist.read"

    @extend_schema(operation_id="readWaitlistEntry", responses=shapes.WaitlistItem)
    def get(self, request: Request, entry_id: UUID) -> Response:
        """One entry."""
        return Response(self.one(entry_id))


class LeaveView(WaitlistView):
    operation = "appointments.waitlist.withdraw"

    @extend_schema(operation_id="leaveWaitlist", request=None, responses={200: shapes.WaitlistItem})
    def post(self, request: Request, entry_id: UUID) -> Response:
        """Wait no longer; an open offer goes to the next person."""
        services.leave(viewer=self.viewer, entry_id=entry_id, now=self.now)
        return Response(self.one(entry_id))


class OfferView(AppointmentView):
    resource = "AppointmentResponse"

    def one(self, offer_id: UUID) -> dict[str, Any]:
        row = waitlists.offers_for(self.viewer).values(*OFFER_FIELDS).get(id=offer_id)
        self.seen = [offer_id]
        return offer_json(row, self.viewer.language, now=self.now)


class OfferListView(OfferView):
    operation = "appointments.waitlist-offers.list"

    @extend_schema(
        operation_id="listWaitlistOffers",
        parameters=[shapes.OfferQuery],
        responses=shapes.OfferItemList,
    )
    def get(self, request: Request) -> Response:
        """Times that were offered to her, the latest offer first; `open=true` for those open."""
        query = shapes.OfferQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        offers = waitlists.offers_for(self.viewer)
        if asked["open"]:
            offers = waitlists.open_now(offers, now=self.now)
        page = keyset_page(
            offers.values(*OFFER_FIELDS),
            order=("-offered_at", "-id"),
            bound_to=f"appointments.waitlist-offers:{self.viewer.key}:{asked['open']}",
            cursor=asked["cursor"],
            limit=asked["limit"],
        )
        self.seen = [row["id"] for row in page.rows]
        return self.framed(
            [offer_json(row, self.viewer.language, now=self.now) for row in page.rows],
            following=page.next,
        )


class AcceptOfferView(OfferView):
    operation = "appointments.waitlist-offers.accept"

    @extend_schema(
        operation_id="acceptWaitlistOffer", request=None, responses={200: shapes.OfferItem}
    )
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Take the time: her visit moves to it, or she gets a new one (`visit`).

        Before `answer_until` nobody else can have it. 409 `offer-over` afterwards, with
        `alternatives`.
        """
        with self.offering_others():
            services.accept(viewer=self.viewer, offer_id=offer_id, now=self.now)
        return Response(self.one(offer_id))


class DeclineOfferView(OfferView):
    operation = "appointments.waitlist-offers.decline"

    @extend_schema(
        operation_id="declineWaitlistOffer", request=None, responses={200: shapes.OfferItem}
    )
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Let the time go to somebody else. She keeps the visit that she has and waits on."""
        with self.offering_others():
            services.decline(viewer=self.viewer, offer_id=offer_id, now=self.now)
        return Response(self.one(offer_id))
