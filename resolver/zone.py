"""The zones that this node is the authority of, made from aliases: OIDs (ITU-T X.672) and GTINs (GS1 ONS).

1. Nothing is stored of a zone. What is answered is what any name server answers that took ``records()`` (AXFR): a test
   asks both. So every name exists that has records, and every name above it (RFC 4592 §2.2.2); below a DNAME none does.
2. An OID has its records at its own name and at ``ors-dummy`` below it, a GTIN at its name. ``zone_rows.py`` says which
   are answered; what is on hold, suspended or of no prefix here is not in the zone.
3. Names of arcs are DNAMEs, whether or not anything is registered below. An answer follows DNS_CNAMES_MAX of them.
4. ANY is answered with one set of records, the first by type (RFC 8482 §4.1), as Knot does.

Source: ITU-T X.672 | ISO/IEC 29168-1; GS1 ONS 2.0.1; RFC 1034 §4.3.2, RFC 2308 (negative answers), RFC 6672 (DNAME).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from core import limits
from core.errors import Outcome
from core.ident.alias import Alias, AliasKind
from core.ident.ors import (
    DUMMY,
    gtin_of_labels,
    labels_of_gtin,
    labels_of_node,
    middle_of_labels,
    node_of_labels,
)
from core.outcomes import STATUSES
from core.store.engine import Snapshot
from core.store.zone_row import zone_serial
from core.wire.dns import Labels, Rcode, Rr, Sections, Type, name_to_wire
from core.wire.dns_rdata import soa
from core.wire.dns_text import text_of
from resolver.zone_names import (
    ServedBy,
    is_within,
    lowered,
    name_bytes,
    parse_apexes,
    parse_arc_names,
    parse_servers,
)
from resolver.zone_rows import Below, all_answered, below_arc, find_target, starting_with
from resolver.zone_services import GtinServices, OidServices

_REFRESH_S: Final = 900  # NOTIFY tells secondaries at once; this is for one that got lost
_RETRY_S: Final = 300
_EXPIRE_S: Final = 604_800  # a week in which secondaries answer for a node that is down
_MAILBOX: Final = b"hostmaster"
_DIGITS: Final = "0123456789"

Data = tuple[bytes, ...]
"""Data of the records of one type at a name."""


class ZoneAnswer(NamedTuple):
    """What is answered, and what the log says of it.

    ``identifier``: ``oid:1.2…``, ``gtin:…`` or the name, printable ASCII. ``outcome``: HELD also where the name exists
    by what is below it.
    """

    sections: Sections
    outcome: Outcome
    identifier: bytes


class ZoneSettings(NamedTuple):
    """See the settings ``dns.…``; texts as configured. ``public_url``: where others reach this node, never empty.

    ``addresses``: of the name server ``ns.<apex>``, where the zone has that one.
    """

    ors_suffix: str
    ons_suffix: str
    ors_services: tuple[str, ...]
    ons_service: str
    oid_labels: tuple[str, ...]
    nameservers: tuple[str, ...]
    addresses: tuple[str, ...]
    public_url: str
    ttl: int
    negative_ttl: int


class Found(NamedTuple):
    """What aliases make of a name. ``data``: none where no alias is answered. ``alias``: that the name is of."""

    outcome: Outcome = Outcome.HANDLE_NOT_FOUND
    data: Data = ()
    alias: Alias | None = None


class AliasNames(Protocol):
    """Names that aliases of one kind have below an apex; all labels are in lower case."""

    def find(self, snapshot: Snapshot, below: Labels) -> Found:
        """Return what there is at a name. Errors: StoreError."""

    def has_below(self, snapshot: Snapshot, below: Labels) -> bool:
        """Whether a name without data has any below it. Bounds: see ``zone_rows.py``. Errors: StoreError."""

    def all(self, snapshot: Snapshot) -> Iterator[tuple[Labels, Data] | None]:
        """Yield each name that has data, and the data; None: see ``all_answered``. Errors: StoreError."""


class OidNames:
    """See AliasNames. ``7.156.2.1`` and ``ors-dummy.7.156.2.1``."""

    def __init__(self, services: OidServices, *, root: bool) -> None:
        self._services = services
        self._root = root
        self._below = Below(root=root)

    def find(self, snapshot: Snapshot, below: Labels) -> Found:
        node = node_of_labels(below[1:] if below[0] == DUMMY else below)
        if node is None:
            return Found()
        alias = Alias(AliasKind.OID, node)
        target = find_target(snapshot, alias, root=self._root)
        data = self._services.data(node, target.key) if target.outcome is Outcome.OK else ()
        return Found(target.outcome, data, alias)

    def has_below(self, snapshot: Snapshot, below: Labels) -> bool:
        node = node_of_labels(below)
        return node is not None and self._below.any_within(snapshot, (below_arc(node),))

    def all(self, snapshot: Snapshot) -> Iterator[tuple[Labels, Data] | None]:
        for found in all_answered(snapshot, AliasKind.OID, root=self._root):
            if found is None:
                yield None
                continue
            oid, target = found
            labels, data = labels_of_node(oid), self._services.data(oid, target)
            yield labels, data
            yield (DUMMY, *labels), data


class GtinNames:
    """See AliasNames. ``0.0.6.2.2.3.1.4.1.4.1.6.0.gtin``."""

    def __init__(self, services: GtinServices, *, root: bool) -> None:
        self._services = services
        self._root = root
        self._below = Below(root=root)

    def find(self, snapshot: Snapshot, below: Labels) -> Found:
        gtin = gtin_of_labels(below)
        if gtin is None:
            return Found()
        alias = Alias(AliasKind.GTIN, gtin)
        outcome = find_target(snapshot, alias, root=self._root).outcome
        return Found(outcome, self._services.data(gtin) if outcome is Outcome.OK else (), alias)

    def has_below(self, snapshot: Snapshot, below: Labels) -> bool:
        """See AliasNames. The leading digit comes first in keys and last in names, so there are ten places to look."""
        middle = middle_of_labels(below)
        if middle is None:
            return False
        ranges = [starting_with(AliasKind.GTIN, leading + middle) for leading in _DIGITS]
        return self._below.any_within(snapshot, ranges)

    def all(self, snapshot: Snapshot) -> Iterator[tuple[Labels, Data] | None]:
        for found in all_answered(snapshot, AliasKind.GTIN, root=self._root):
            yield None if found is None else (labels_of_gtin(found[0]), self._services.data(found[0]))


class Zone:
    """One zone: what is fixed by the settings, and what aliases add."""

    def __init__(
        self, apex: Labels, served: ServedBy, times: tuple[int, int], aliases: AliasNames, arcs: Mapping[Labels, Labels]
    ) -> None:
        """Take the TTL and the negative one, and the names of arcs with what they lead to."""
        self.apex = apex
        self._served = served
        self._ttl, self._negative_ttl = times
        self._aliases = aliases
        self._arcs = arcs
        self._fixed = self._make_fixed()

    def _make_fixed(self) -> dict[Labels, dict[int, Data]]:
        """Return what the settings say: each name with records, and each above it."""
        found: dict[Labels, dict[int, Data]] = {(): {Type.NS: tuple(map(name_to_wire, self._served.names))}}
        for type_, version in ((Type.A, 4), (Type.AAAA, 6)):
            packed = tuple(each.packed for each in self._served.addresses if each.version == version)
            if packed:
                found.setdefault(self._own_server(), {})[type_] = tuple(dict.fromkeys(packed))
        for owner, target in self._arcs.items():
            found[owner] = {Type.DNAME: (name_to_wire(target + self.apex),)}
        for owner in tuple(found):
            for size in range(len(owner)):
                found.setdefault(owner[len(owner) - size :], {})
        return found

    def _own_server(self) -> Labels:
        own = next(each for each in self._served.names if is_within(each, self.apex))
        return own[: -len(self.apex)]

    # --- the zone as records ---
    def records(self, snapshot: Snapshot, serial: int) -> Iterator[Rr | None]:
        """Yield all of them, the SOA first and last; None: see ``all_answered``. Errors: StoreError."""
        soa_record = self._soa(serial)
        yield soa_record
        for below, sets in self._fixed.items():
            for type_, data in sets.items():
                yield from self._rrs(below + self.apex, type_, data)
        for named in self._aliases.all(snapshot):
            if named is None:
                yield None
            else:
                yield from self._rrs(named[0] + self.apex, Type.NAPTR, named[1])
        yield soa_record

    def _rrs(self, owner: Labels, type_: int, data: Data) -> list[Rr]:
        ttl = self._negative_ttl if type_ == Type.SOA else self._ttl
        return [Rr(owner, type_, ttl, each) for each in data]

    def _soa(self, serial: int) -> Rr:
        """Return the SOA. Its TTL is the negative one: who asks for the serial wants to know it now."""
        data = soa(
            self._served.names[0], (_MAILBOX, *self.apex), serial,
            refresh=_REFRESH_S, retry=_RETRY_S, expire=_EXPIRE_S, minimum=self._negative_ttl,
        )  # fmt: skip
        return Rr(self.apex, Type.SOA, self._negative_ttl, data)

    # --- one question ---
    def answer(self, snapshot: Snapshot, asked: Labels, type_: int, serial: int) -> ZoneAnswer:
        """Answer a question for a name of the zone. Errors: StoreError."""
        chain: list[Rr] = []
        for _ in range(limits.DNS_CNAMES_MAX + 1):
            below = lowered(asked[: len(asked) - len(self.apex)])
            arc = self._arc_above(below)
            if arc is None:
                return self._at(snapshot, (asked, below), type_, serial, chain)
            if len(chain) == 2 * limits.DNS_CNAMES_MAX:
                break
            target = self._arcs[arc] + self.apex
            chain.append(Rr(asked[len(below) - len(arc) :], Type.DNAME, self._ttl, name_to_wire(target)))
            substituted = asked[: len(below) - len(arc)] + target
            if name_bytes(substituted) > limits.DNS_NAME_BYTES_MAX:  # RFC 6672 §2.2
                return ZoneAnswer(
                    Sections(Rcode.YXDOMAIN, answer=chain), Outcome.HANDLE_NOT_FOUND, text_of(asked).encode()
                )
            chain.append(Rr(asked, Type.CNAME, self._ttl, name_to_wire(substituted)))
            asked = substituted
            if type_ == Type.CNAME:
                break
        return ZoneAnswer(Sections(STATUSES[Outcome.OK].dns, answer=chain), Outcome.OK, text_of(asked).encode())

    def _arc_above(self, below: Labels) -> Labels | None:
        """Return the name of an arc, the owner of a DNAME, that a name is below."""
        for size in range(1, len(below)):
            owner = below[-size:]
            if owner in self._arcs:
                return owner
            if owner not in self._fixed:
                return None
        return None

    def _at(
        self, snapshot: Snapshot, name: tuple[Labels, Labels], type_: int, serial: int, chain: list[Rr]
    ) -> ZoneAnswer:
        """Answer with what is at a name, behind the aliases that led to it.

        ``name``: as it was asked, and what stands before the apex, in lower case.
        """
        asked, below = name
        found = self._aliases.find(snapshot, below) if below else Found()
        identifier = (text_of(asked) if found.alias is None else str(found.alias)).encode()
        sets = self._fixed.get(below, {})
        if not below:
            sets = {**sets, Type.SOA: (self._soa(serial).data,)}
        if found.data:
            sets = {**sets, Type.NAPTR: found.data}
        if type_ == Type.ANY and sets:
            type_ = min(sets)
        if type_ in sets:
            answer = [*chain, *self._rrs(asked, type_, sets[type_])]
            additional = self._addresses() if type_ == Type.NS else ()
            sections = Sections(STATUSES[Outcome.OK].dns, answer=answer, additional=additional)
            return ZoneAnswer(sections, Outcome.OK, identifier)
        exists = sets or below in self._fixed or self._aliases.has_below(snapshot, below)
        outcome = Outcome.NO_VALUES if exists else Outcome.HANDLE_NOT_FOUND
        sections = Sections(STATUSES[outcome].dns, answer=chain, authority=(self._soa(serial),))
        return ZoneAnswer(sections, Outcome.HELD if found.outcome is Outcome.HELD else outcome, identifier)

    def _addresses(self) -> list[Rr]:
        """Return the addresses of the name server that lies in the zone."""
        if not self._served.addresses:
            return []
        own = self._own_server()
        return [rr for type_, data in self._fixed[own].items() for rr in self._rrs(own + self.apex, type_, data)]


class Zones:
    """Answers from one state of the store each. ``root``: see ``core/store/homing.py``."""

    def __init__(self, settings: ZoneSettings, *, root: bool = False) -> None:
        """Make the zones of the settings. Errors: ConfigError that names the setting."""
        times = settings.ttl, settings.negative_ttl
        ors, ons = parse_apexes(settings.ors_suffix, settings.ons_suffix)
        self._zones: list[Zone] = []
        if ors is not None:
            names: AliasNames = OidNames(OidServices(settings.ors_services, settings.public_url), root=root)
            served = parse_servers(ors, settings.nameservers, settings.addresses)
            self._zones.append(Zone(ors, served, times, names, parse_arc_names(settings.oid_labels, ors)))
        if ons is not None:
            names = GtinNames(GtinServices(settings.ons_service, settings.public_url), root=root)
            served = parse_servers(ons, settings.nameservers, settings.addresses)
            self._zones.append(Zone(ons, served, times, names, {}))

    @property
    def apexes(self) -> tuple[Labels, ...]:
        """The names of the zones, in lower case."""
        return tuple(zone.apex for zone in self._zones)

    def answer(self, snapshot: Snapshot, name: Labels, type_: int) -> ZoneAnswer:
        """Answer a question of class IN. A name in no zone: NOT_RESPONSIBLE, REFUSED.

        Total on names that the codec reads, and on all types; those of transfers and signatures are the front's matter.
        Errors: StoreError.
        """
        zone = self._zone_of(name)
        if zone is not None:
            return zone.answer(snapshot, name, type_, self.serial(snapshot))
        outcome = Outcome.NOT_RESPONSIBLE
        return ZoneAnswer(Sections(STATUSES[outcome].dns, authoritative=False), outcome, text_of(name).encode())

    def _zone_of(self, asked: Labels) -> Zone | None:
        return next((zone for zone in self._zones if lowered(asked[-len(zone.apex) :]) == zone.apex), None)

    def serial(self, snapshot: Snapshot) -> int:
        """Return the serial of all zones: that of the last change that touched one, modulo 2**32; never 0.

        Some secondaries take 0 for a zone that was never loaded.
        """
        return zone_serial(snapshot) % 2**32 or 1

    def records(self, snapshot: Snapshot, apex: Labels) -> Iterator[Rr]:
        """Yield all records of a zone, the SOA first and last, as AXFR has them (RFC 5936 §2.2).

        ``apex``: one of ``apexes``; of any other name there are none. Errors: StoreError.
        """
        return (each for each in self.records_with_rests(snapshot, apex) if each is not None)

    def records_with_rests(self, snapshot: Snapshot, apex: Labels) -> Iterator[Rr | None]:
        """Yield the same, and None after each DNS_TRANSFER_ROWS aliases that are not answered. Errors: StoreError."""
        zone = next((zone for zone in self._zones if zone.apex == lowered(apex)), None)
        return iter(()) if zone is None else zone.records(snapshot, self.serial(snapshot))
