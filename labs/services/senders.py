"""Find the laboratory behind a message, and load what staff settled about it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import CharField, UUIDField

from clinical.reference_ranges import ReferenceRange
from clinical.states import PortalState
from clinical.units import unit_of_ucum
from clinical.verdict import SenderOptions
from core.prepared import Given, Prepared
from labs.hl7.answers import Header
from labs.hl7.codes import CodedElement
from labs.hl7.oru import ObservationLine
from labs.models import CodeMap, ConfiguredRange, InboundMessage, SendingLaboratory

Door = InboundMessage.Door


@dataclass(frozen=True, slots=True)
class Origin:
    """Which door a message came through, and how its sender proved itself there.

    MLLP: the address of the peer. HTTPS and FHIR: the OAuth client. File: the key that the operator
    named, empty = go by MSH-3 and MSH-4.
    """

    door: str
    peer: str | None = None
    client_id: str = ""
    sender_key: str = ""


@lru_cache(maxsize=1)
def _named() -> Prepared:
    return Prepared(
        SendingLaboratory.objects.filter(
            names__application=cast(str, Given("application", CharField())),
            names__facility=cast(str, Given("facility", CharField())),
        )
    )


def authorised_laboratory(origin: Origin, header: Header) -> SendingLaboratory | None:
    """Return the laboratory that may send this message through this door, None when nobody may.

    A name that a laboratory registered can be used by that laboratory only. Other names are
    taken from an interface engine (`is_gateway`) that proves itself. A FHIR body names no
    sender: the client alone says who it is.
    """
    if origin.door == Door.FHIR:
        return laboratory_of_client(origin.client_id)
    found: list[SendingLaboratory] = _named().objects(
        application=header.sending_application, facility=header.sending_facility
    )
    if found:
        [named] = found
        return named if named.is_active and _proven(named, origin) else None
    active = SendingLaboratory.objects.filter(is_active=True)
    if origin.door == Door.FILE:
        return active.filter(key=origin.sender_key).first() if origin.sender_key else None
    gateways = active.filter(is_gateway=True)
    if origin.door == Door.HTTPS:
        return gateways.filter(client_id=origin.client_id).first()
    proven = [gateway for gateway in gateways if _proven(gateway, origin)]
    return proven[0] if len(proven) == 1 else None


def _proven(laboratory: SendingLaboratory, origin: Origin) -> bool:
    if origin.door == Door.FILE:
        return origin.sender_key in ("", laboratory.key)
    if origin.door == Door.HTTPS:
        return bool(laboratory.client_id) and laboratory.client_id == origin.client_id
    if origin.peer is None:
        return False
    address = ipaddress.ip_address(origin.peer)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(net) for net in laboratory.peer_networks)


def laboratory_of_client(client_id: str) -> SendingLaboratory | None:
    """Return the active laboratory that an OAuth client belongs to."""
    if not client_id:
        return None
    return SendingLaboratory.objects.filter(client_id=client_id, is_active=True).first()


@dataclass(frozen=True)
class SenderSettings:
    """A laboratory's settings as judging needs them, loaded once a message."""

    laboratory: SendingLaboratory
    code_map: Mapping[tuple[str, str], str] = field(default_factory=dict)
    ranges: tuple[ConfiguredRange, ...] = ()

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.laboratory.zone)

    @cached_property
    def options(self) -> SenderOptions:
        return SenderOptions(
            off_scale_means_panic=self.laboratory.off_scale_means_panic,
            extra_flag_meanings={
                code: PortalState(state) for code, state in self.laboratory.flag_meanings.items()
            },
        )

    @property
    def id(self) -> UUID:
        return self.laboratory.id

    def loinc_of(self, line: ObservationLine) -> str:
        """Return the LOINC of a line: what staff mapped, else what the message says, else ""."""
        mapped = self._mapped(line.code)
        if mapped:
            return mapped
        return line.loinc.code if line.loinc else ""

    def _mapped(self, code: CodedElement) -> str:
        for value, system in (
            (code.code.strip(), code.system.strip()),
            (code.alt_code.strip(), code.alt_system.strip()),
        ):
            found = self.code_map.get((value, system)) or self.code_map.get((value, ""))
            if value and found:
                return found
        return ""

    def configured_range(
        self, *, analyte_key: str, loinc: str, sex: str, age_years: int, on: date
    ) -> ReferenceRange | None:
        """Return the approved range for this person and day; None also when two fit alike."""
        fitting = [
            row
            for row in self.ranges
            if row.analyte_key == analyte_key
            and row.loinc in ("", loinc)
            and row.sex in ("", sex)
            and row.age_from_years <= age_years
            and (row.age_to_years is None or age_years < row.age_to_years)
            and row.valid_from <= on
            and (row.valid_until is None or on < row.valid_until)
        ]
        ranked = sorted(fitting, key=_specificity, reverse=True)
        if not ranked or (len(ranked) > 1 and _specificity(ranked[0]) == _specificity(ranked[1])):
            return None
        chosen = ranked[0]
        return ReferenceRange(
            chosen.low, chosen.high, text=chosen.source, unit=unit_of_ucum(chosen.unit)
        )


def _specificity(row: ConfiguredRange) -> tuple[bool, bool, int]:
    width = 200 if row.age_to_years is None else row.age_to_years - row.age_from_years
    return (bool(row.loinc), bool(row.sex), -width)


@lru_cache(maxsize=1)
def _code_map() -> Prepared:
    rows = CodeMap.objects.filter(laboratory_id=cast(UUID, Given("laboratory", UUIDField())))
    return Prepared(rows.order_by().values("local_code", "local_system", "loinc"))


@lru_cache(maxsize=1)
def _ranges() -> Prepared:
    return Prepared(
        ConfiguredRange.objects.filter(
            laboratory_id=cast(UUID, Given("laboratory", UUIDField())), approved_at__isnull=False
        )
    )


def load_settings(laboratory: SendingLaboratory) -> SenderSettings:
    """Return everything that judging needs to know about `laboratory`: two statements."""
    return SenderSettings(
        laboratory=laboratory,
        code_map={
            (row["local_code"], row["local_system"]): row["loinc"]
            for row in _code_map().rows(laboratory=laboratory.id)
        },
        ranges=tuple(_ranges().objects(laboratory=laboratory.id)),
    )
