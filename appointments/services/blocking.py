"""Keep resources free of visits, and give the time back."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts.models import Membership, User
from appointments.claims import TimeTaken, claim
from appointments.closures import Span, left_of
from appointments.models import Block, Resource, ResourceClaim
from appointments.services.refusals import AppointmentsInTheWay, StatusConflict
from appointments.supplies import Place
from core.errors import FieldError, InvalidInput, NotFound


def _works_for(actor: User, organization_id: UUID, now: datetime) -> bool:
    return (
        Membership.objects.active_at(now)
        .filter(user=actor, organization_id=organization_id, organization__is_active=True)
        .exists()
    )


def block_time(
    *,
    actor: User,
    resource_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    now: datetime,
) -> Block:
    """Keep a resource free of visits, in all its lanes; booked or held time is not touched.

    Raises: NotFound, InvalidInput, AppointmentsInTheWay.
    """
    if starts_at >= ends_at:
        raise InvalidInput(errors=(FieldError("ends_at", "invalid", "Ends before it starts."),))
    resource = Resource.objects.filter(id=resource_id).first()
    if resource is None or not _works_for(actor, resource.organization_id, now):
        raise NotFound()
    block = Block(
        resource=resource,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        made_at=now,
        made_by=actor,
    )
    try:
        claim(
            pools=[[Place(resource.id, lane)] for lane in range(resource.all_lanes)],
            starts_at=starts_at,
            ends_at=ends_at,
            kind=ResourceClaim.Kind.BLOCK,
            held_for=block.id,
            now=now,
        )
    except TimeTaken as error:
        raise AppointmentsInTheWay() from error
    block.save(force_insert=True)
    return block


def lift_block(*, actor: User, block_id: UUID, now: datetime) -> Block:
    """End a block and give back its time, but what other blocks cover.

    Raises: NotFound, StatusConflict.
    """
    block = (
        Block.objects.select_for_update(of=("self",))
        .select_related("resource")
        .filter(id=block_id)
        .first()
    )
    if block is None or not _works_for(actor, block.resource.organization_id, now):
        raise NotFound()
    if block.lifted_at is not None:
        raise StatusConflict("This block is lifted already.")
    block.lifted_at, block.lifted_by = now, actor
    block.save(update_fields=["lifted_at", "lifted_by"])
    ResourceClaim.objects.filter(held_for=block.id, active=True).update(active=False, ended_at=now)
    for other in (
        Block.objects.select_related("resource")
        .filter(
            resource_id=block.resource_id,
            lifted_at__isnull=True,
            starts_at__lt=block.ends_at,
            ends_at__gt=block.starts_at,
        )
        .order_by("id")
    ):
        cover(other, now=now)
    return block


def cover(block: Block, *, now: datetime, leaving: Collection[UUID] | None = None) -> None:
    """Claim, in every lane, what is left of a block's span beside other blocks.

    `leaving` are visits that may stay where they are; None: all that stand there. Whatever
    else stands there is in the way. Raises: TimeTaken.
    """
    standing = ResourceClaim.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=now),
        resource_id=block.resource_id,
        active=True,
        during__overlap=(block.starts_at, block.ends_at),
    )
    if leaving is not None:
        standing = standing.filter(Q(kind=ResourceClaim.Kind.BLOCK) | Q(held_for__in=leaving))
    taken: dict[int, list[Span]] = defaultdict(list)
    for lane, during in standing.values_list("lane", "during"):
        taken[lane].append((during.lower, during.upper))
    pieces: dict[Span, list[int]] = defaultdict(list)
    for lane in range(block.resource.all_lanes):
        for piece in left_of((block.starts_at, block.ends_at), taken[lane]):
            pieces[piece].append(lane)
    for (starts_at, ends_at), lanes in sorted(pieces.items()):
        claim(
            pools=[[Place(block.resource_id, lane)] for lane in lanes],
            starts_at=starts_at,
            ends_at=ends_at,
            kind=ResourceClaim.Kind.BLOCK,
            held_for=block.id,
            now=now,
        )
