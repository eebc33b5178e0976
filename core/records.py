"""What the node stores and answers: handle values and what is inside them.

Immutable types without behaviour beyond reading themselves; the codecs are in
``core.wire``. Source: RFC 3651 §3.1-3.2 and the value types of the reference
server. Integers are as on the wire: seconds, octets, 1-based value indexes.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from core.limits import TTL_S_DEFAULT


class ValuePermission(IntFlag):
    """Who may read and write a value (RFC 3651 §3.1)."""

    ADMIN_READ = 8
    ADMIN_WRITE = 4
    PUBLIC_READ = 2
    PUBLIC_WRITE = 1


PERMISSIONS_USUAL: Final = 0b1110


class AdminPermission(IntFlag):
    """Bits of an HS_ADMIN mask (RFC 3651 §3.2.1, names of the reference server)."""

    ADD_HANDLE = 0x001
    DELETE_HANDLE = 0x002
    ADD_DERIVED_PREFIX = 0x004
    DELETE_DERIVED_PREFIX = 0x008
    MODIFY_VALUE = 0x010
    REMOVE_VALUE = 0x020
    ADD_VALUE = 0x040
    MODIFY_ADMIN = 0x080
    REMOVE_ADMIN = 0x100
    ADD_ADMIN = 0x200
    READ_VALUE = 0x400
    LIST_HANDLES = 0x800


ADMIN_PERMISSIONS_ALL: Final = 0xFFF


class ValueReference(NamedTuple):
    """One value of one handle; also the identity of an administrator. Index 0 is any."""

    handle: str
    value_index: int


class HandleValue(NamedTuple):
    """One value of a record (RFC 3651 §3.1).

    ``ttl`` is seconds if ``ttl_absolute`` is false, else the Unix second at which
    the value ends. ``timestamp`` is the Unix second of the last change, 0 if unknown.
    """

    value_index: int
    type: str
    data: bytes
    ttl: int = TTL_S_DEFAULT
    ttl_absolute: bool = False
    permissions: int = PERMISSIONS_USUAL
    timestamp: int = 0
    references: tuple[ValueReference, ...] = ()

    @property
    def public_read(self) -> bool:
        """Whether anyone may read it."""
        return bool(self.permissions & ValuePermission.PUBLIC_READ)

    def same_as(self, other: HandleValue) -> bool:
        """Whether both are equal but for the timestamp."""
        return self._replace(timestamp=0) == other._replace(timestamp=0)


Values = tuple[HandleValue, ...]


class AdminRecord(NamedTuple):
    """Data of an HS_ADMIN value. ``legacy`` keeps the two spare octets of old records."""

    permissions: int
    handle: str
    value_index: int
    legacy: bool = False


class RsaKey(NamedTuple):
    """An RSA public key; big integers, not negative."""

    modulus: int
    exponent: int


class DsaKey(NamedTuple):
    """A DSA public key."""

    q: int
    p: int
    g: int
    y: int


class DhKey(NamedTuple):
    """A Diffie-Hellman public key."""

    y: int
    p: int
    g: int


class OtherKey(NamedTuple):
    """A key of a kind that the node does not read (SM2_PUB_KEY, …); ``data`` follows the flags."""

    kind: str
    data: bytes


PublicKey = RsaKey | DsaKey | DhKey | OtherKey


class HashOption(IntEnum):
    """Which part of a handle chooses the server of a site."""

    BY_PREFIX = 0
    BY_SUFFIX = 1
    BY_ALL = 2


class InterfaceKind(IntFlag):
    """What a door of a server is for."""

    ADMIN = 1
    QUERY = 2


class InterfaceProtocol(IntEnum):
    """What a door of a server speaks."""

    UDP = 0
    TCP = 1
    HTTP = 2
    HTTPS = 3


class Interface(NamedTuple):
    """One door of a server. ``kind``: bits of InterfaceKind. ``protocol``: InterfaceProtocol, or a later one."""

    kind: int
    protocol: int
    port: int


class ServerInfo(NamedTuple):
    """One server of a site. ``address``: 16 octets, IPv4 in the last four; ``public_key`` encoded."""

    server_id: int
    address: bytes
    public_key: bytes
    interfaces: tuple[Interface, ...]


class SiteInfo(NamedTuple):
    """Data of an HS_SITE value (RFC 3651 §3.2.2 with the later layout)."""

    format_version: int
    protocol_major: int
    protocol_minor: int
    serial: int
    primary: bool
    multi_primary: bool
    hash_option: int
    hash_filter: str
    attributes: tuple[tuple[str, str], ...]
    servers: tuple[ServerInfo, ...]
