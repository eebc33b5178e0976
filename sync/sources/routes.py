"""T2 and T7: where each prefix is resolved. T2 has those that the operator holds by itself, T7 those of parties.

1. A row for every prefix that is homed, suspended ones with the status 0. One that is on hold goes on to be routed
   here: this node answers that it is on hold. One that comes from another node is routed there until all of it is here.
2. The addresses of a delegated prefix are those of the public HS_SITE values of its prefix handle ``0.NA/P``, with the
   doors for queries. Where that names another handle (HS_SERV), they are not known.
3. The addresses of a hosted prefix are those of this node, which no change tells: they are ``context``.

Key: ``Handle/`` and the folded prefix. An address is ``[IPv4 or IPv6, address, port of TCP, of UDP, of HTTP]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from core import limits
from core.changes import ChangeKind
from core.errors import WireError
from core.ident.handle import PREFIX_HANDLES, named_by, prefix_handle_of
from core.lifecycle import State
from core.records import InterfaceKind, InterfaceProtocol, ServerInfo, SiteInfo
from core.store.application_rows import unpack_application
from core.store.engine import Snapshot, Table
from core.store.prefix_rows import DELEGATED, unpack_prefix
from core.store.record_rows import prefix_range, record_key, unpack_values
from core.wire.site import PORTS, address_of, decode_site
from core.wire.valuetypes import HS_SITE, HS_SITE_6
from sync.table import Operation, TableKind, pack_row

KIND: Final = "Handle"
"""The kind of identifiers, of those of the docking agreement, that a node's own prefixes are."""

ENABLED: Final = 1
STOPPED: Final = 0
"""Status codes, as in ``core/lifecycle.py``."""

_KEY: Final = f"{KIND}/".encode()
_END: Final = f"{KIND}0".encode()  # "0" follows "/"
_HANDLES: Final = prefix_range(PREFIX_HANDLES)[0]
_PROTOCOLS: Final = (InterfaceProtocol.TCP, InterfaceProtocol.UDP, InterfaceProtocol.HTTP)
_SITES: Final = (HS_SITE, HS_SITE_6)
_RECORDS: Final = frozenset((ChangeKind.RECORD_CREATED, ChangeKind.RECORD_CHANGED, ChangeKind.RECORD_DELETED))
_KINDS: Final = _RECORDS | {kind for kind in ChangeKind if kind.name.startswith("PREFIX_")}


class Address(NamedTuple):
    """One address of a server. Ports are None where it has no such door."""

    kind: str
    address: str
    tcp: int | None
    udp: int | None
    http: int | None


class RouteSource:
    """See Source."""

    def __init__(self, table: TableKind, node: Sequence[Address], *, own: bool) -> None:
        """Take T2 (``own``) or T7, and the addresses of this node."""
        self.table = table
        self.kinds = _KINDS
        self._node = tuple(node)
        self._own = own

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        if kind not in _RECORDS:
            prefix = identifier
        elif identifier.startswith(_HANDLES):
            prefix = named_by(identifier)
        else:
            return None
        key = _KEY + prefix
        return (key, Operation.NONE) if len(key) <= limits.UPSTREAM_KEY_BYTES_MAX else None

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        prefix = key.removeprefix(_KEY)
        if prefix == key or not 0 < len(prefix) <= limits.STORE_KEY_BYTES_MAX:
            return None
        homed = snapshot.get(Table.PREFIXES, prefix)
        return None if homed is None else self._row(snapshot, prefix, homed)

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        if start >= _END or (stop is not None and stop <= _KEY):
            return
        first = start.removeprefix(_KEY) if start > _KEY else b""
        last = None if stop is None or stop >= _END else stop.removeprefix(_KEY)
        for prefix, homed in snapshot.scan(Table.PREFIXES, first, last):
            row = self._row(snapshot, prefix, homed)
            if row is not None:
                yield _KEY + prefix, row

    def context(self, snapshot: Snapshot) -> bytes:
        return hashlib.sha256(pack_row(self._node)).digest()

    def latest(self, snapshot: Snapshot) -> int:
        return snapshot.serial()

    def _row(self, snapshot: Snapshot, prefix: bytes, homed: bytes) -> bytes | None:
        stored = snapshot.get(Table.APPLICATIONS, prefix)
        application = None if stored is None else unpack_application(stored)
        if application is not None and application.state == State.IMPORTING.value:
            return None
        if (application is None or application.own) is not self._own:
            return None
        found = unpack_prefix(homed)
        status = STOPPED if found.suspended else ENABLED
        addresses = _delegated(snapshot, prefix) if found.hosting == DELEGATED else self._node
        return pack_row((KIND, prefix.decode(), addresses, found.hosting, status))


def _delegated(snapshot: Snapshot, prefix: bytes) -> tuple[Address, ...]:
    """Return the addresses that a prefix handle tells; a site that cannot be read has none."""
    row = snapshot.get(Table.RECORDS, record_key(prefix_handle_of(prefix)))
    sites = []
    for value in () if row is None else unpack_values(row):
        if value.type in _SITES and value.public_read:
            try:
                sites.append(decode_site(value.data))
            except WireError:
                continue
    return addresses_of(sites)


def addresses_of(sites: Iterable[SiteInfo]) -> tuple[Address, ...]:
    """Return the addresses of all servers of sites in order, none twice. Bounds: the first UPSTREAM_ADDRESSES_MAX."""
    found = (_address(server) for site in sites for server in site.servers)
    kept = dict.fromkeys(address for address in found if address is not None)
    return tuple(islice(kept, limits.UPSTREAM_ADDRESSES_MAX))


def _address(server: ServerInfo) -> Address | None:
    """Return the address of a server, None if it is no server's, or has no door for queries."""
    address = address_of(server.address)
    if address.is_unspecified or address.is_multicast:
        return None
    ports: dict[int, int] = {}
    for door in server.interfaces:
        if door.kind & InterfaceKind.QUERY and door.port in PORTS:
            ports.setdefault(door.protocol, door.port)
    tcp, udp, http = (
        ports.get(each) for each in (InterfaceProtocol.TCP, InterfaceProtocol.UDP, InterfaceProtocol.HTTP)
    )
    if tcp is udp is http is None:
        return None
    return Address(f"IPv{address.version}", str(address), tcp, udp, http)
