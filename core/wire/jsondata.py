"""The member ``data`` of a value's JSON form: ``{"format", "value"}``.

Formats: string, base64, hex (read only), admin, vlist, site, key. Data of a
structured type that does not decode, or that its structure cannot say, is written as
string or base64; so is everything else, as string where it is UTF-8 without the
controls 00-08, 14-1F and 7F. Source: bytes of the reference server.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from core import limits
from core.errors import WireError
from core.records import (
    ADMIN_PERMISSIONS_ALL,
    AdminRecord,
    DsaKey,
    HashOption,
    Interface,
    PublicKey,
    RsaKey,
    ServerInfo,
    SiteInfo,
    ValueReference,
)
from core.wire.admin import encode_admin, encode_group
from core.wire.jsontext import quote
from core.wire.publickey import decode_public_key, encode_public_key
from core.wire.site import encode_site
from core.wire.valuetypes import VALUE_TYPES

_NOT_TEXT: Final = re.compile("[\x00-\x08\x14-\x1f\x7f]")
_PROTOCOLS: Final = ("UDP", "TCP", "HTTP", "HTTPS")
_QUERY: Final = 2
_ADMIN: Final = 1
_CACHED_BYTES_MAX: Final = 512

# --- writing -----------------------------------------------------------------


def dump_data(kind: str, data: bytes) -> str:
    """Return the JSON form of the data of one value type."""
    if kind not in VALUE_TYPES:
        return dump_octets(data)
    return _dump_known(kind, data) if len(data) <= _CACHED_BYTES_MAX else _dump_structured(kind, data)


@lru_cache(maxsize=512)
def _dump_known(kind: str, data: bytes) -> str:
    """Cached: the same administrator stands in millions of records."""
    return _dump_structured(kind, data)


def _dump_structured(kind: str, data: bytes) -> str:
    try:
        structured = _dump_structure(VALUE_TYPES[kind].decode(data))
    except WireError:
        structured = None
    return structured if structured is not None else dump_octets(data)


def dump_octets(data: bytes) -> str:
    """Return data without a structure: as string where it is text, else as base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or not is_text(text):
        return f'{{"format":"base64","value":"{base64.b64encode(data).decode()}"}}'
    return f'{{"format":"string","value":{quote(text)}}}'


def is_text(text: str) -> bool:
    """Whether data is written as a string: no control characters but 09-13."""
    return _NOT_TEXT.search(text) is None


def _dump_structure(structure: object) -> str | None:
    match structure:
        case AdminRecord():
            legacy = ',"legacyByteLength":true' if structure.legacy else ""
            return (
                f'{{"format":"admin","value":{{"handle":{quote(structure.handle)},"index":{structure.value_index},'
                f'"permissions":"{structure.permissions:012b}"{legacy}}}}}'
            )
        case SiteInfo() if all(map(_has_json, structure.servers)):
            return f'{{"format":"site","value":{dump_site(structure)}}}'
        case RsaKey() | DsaKey():
            return f'{{"format":"key","value":{_dump_key(structure)}}}'
        case tuple() if all(isinstance(member, ValueReference) for member in structure):
            return f'{{"format":"vlist","value":{dump_references(structure)}}}'
    return None  # JWS and keys of other kinds are written as the octets that they are


def _has_json(server: ServerInfo) -> bool:
    """Whether the JSON form can say all of it: kinds of doors as two flags, ports of 16 bits."""
    return all(door.kind <= _QUERY | _ADMIN and 0 <= door.port <= 65_535 for door in server.interfaces)


def dump_references(references: tuple[ValueReference, ...]) -> str:
    """Return the JSON array of references, also the value of the format vlist."""
    return "[" + ",".join(f'{{"handle":{quote(ref.handle)},"index":{ref.value_index}}}' for ref in references) + "]"


def _dump_key(key: RsaKey | DsaKey) -> str:
    members = (
        {"kty": '"RSA"', "n": _unsigned(key.modulus), "e": _unsigned(key.exponent)}
        if isinstance(key, RsaKey)
        else {"kty": '"DSA"'} | {name: _unsigned(getattr(key, name)) for name in "ypqg"}
    )
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def _unsigned(value: int) -> str:
    octets = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return '"' + base64.urlsafe_b64encode(octets).rstrip(b"=").decode() + '"'


def dump_site(site: SiteInfo) -> str:
    """Return the JSON form of site information. Hash option 2 and an empty filter are left out."""
    hashing = f'"hashOption":{site.hash_option},' if site.hash_option != HashOption.BY_ALL else ""
    hashing += f'"hashFilter":{quote(site.hash_filter)},' if site.hash_filter else ""
    attributes = ",".join(f'{{"name":{quote(name)},"value":{quote(value)}}}' for name, value in site.attributes)
    servers = ",".join(map(_dump_server, site.servers))
    return (
        f'{{"version":{site.format_version},'
        f'"protocolVersion":"{site.protocol_major}.{site.protocol_minor}","serialNumber":{site.serial},'
        f'"primarySite":{_flag(site.primary)},"multiPrimary":{_flag(site.multi_primary)},{hashing}'
        f'"attributes":[{attributes}],"servers":[{servers}]}}'
    )


def _dump_server(server: ServerInfo) -> str:
    address: object = ipaddress.IPv6Address(server.address)
    if server.address[:12] == bytes(12):
        address = ipaddress.IPv4Address(server.address[12:])
    try:
        key = _dump_structure(decode_public_key(server.public_key)) or dump_octets(server.public_key)
    except WireError:
        key = dump_octets(server.public_key)
    doors = ",".join(
        f'{{"query":{_flag(door.kind & _QUERY)},"admin":{_flag(door.kind & _ADMIN)},'
        f'"protocol":{_protocol(door.protocol)},"port":{door.port}}}'
        for door in server.interfaces
    )
    return f'{{"serverId":{server.server_id},"address":"{address}","publicKey":{key},"interfaces":[{doors}]}}'


def _flag(value: object) -> str:
    return "true" if value else "false"


def _protocol(number: int) -> str:
    return f'"{_PROTOCOLS[number]}"' if number < len(_PROTOCOLS) else str(number)


# --- reading -----------------------------------------------------------------


class ReferenceForm(msgspec.Struct):
    """``{"handle", "index"}``; the stock REST client sends the index as text."""

    handle: str
    index: int | str


class DataForm(msgspec.Struct):
    """``{"format", "value"}``."""

    format: str
    value: Any


def integer(value: object, member: str) -> int:
    """Accept a number, or its digits as text, as the reference server does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        return int(value)
    raise WireError(f"{member}: expected an integer")


def _int32(value: object, member: str) -> int:
    number = integer(value, member)
    if not -(2**31) <= number < 2**31:
        raise WireError(f"{member}: {number} does not fit in 32 bits")
    return number


def load_reference(form: ReferenceForm, member: str) -> ValueReference:
    """Return a reference. Errors: WireError that names the member."""
    return ValueReference(form.handle, _int32(form.index, f"{member}.index"))


def load_data(form: DataForm) -> bytes:
    """Return the octets of a value's data. Errors: WireError that names the member."""
    value = form.value
    if form.format in ("string", "base64", "hex") and not isinstance(value, str):
        raise WireError(f"data.value: expected a string for the format {form.format}")
    match form.format:
        case "string":
            return bytes(value.encode())
        case "base64":
            return _base64(value, "data.value")
        case "hex":
            try:
                return binascii.unhexlify(value)
            except (binascii.Error, ValueError):
                raise WireError("data.value: no hexadecimal octets") from None
        case "admin":
            return encode_admin(_load_admin(value))
        case "vlist":
            members = _shape(value, list[ReferenceForm])
            return encode_group(tuple(load_reference(member, "data.value") for member in members))
        case "site":
            return encode_site(load_site(value))
        case "key":
            return encode_public_key(_load_key(_shape(value, KeyForm)))
    raise WireError(f"data.format: {form.format[:40]!r} is none of string, base64, hex, admin, vlist, site, key")


def _shape(value: object, kind: Any, where: str = "data.value") -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise WireError(f"{where}: {error}".replace("`", "")) from None


def _base64(text: str, member: str) -> bytes:
    try:
        octets = text.encode("ascii")
        return base64.b64decode(octets + b"=" * (-len(octets) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise WireError(f"{member}: no base64") from None


class AdminForm(msgspec.Struct):
    """``{"handle", "index", "permissions"}``: twelve of 0 and 1, list-handles first, or ``*``."""

    handle: str
    index: int | str
    permissions: str = ""
    legacyByteLength: bool = False  # noqa: N815 - the member's name


def _load_admin(value: object) -> AdminRecord:
    form = _shape(value, AdminForm)
    if form.permissions == "*":
        mask = ADMIN_PERMISSIONS_ALL
    elif re.fullmatch("[01]{0,12}", form.permissions, re.ASCII):
        mask = int(form.permissions or "0", 2)
    else:
        raise WireError("data.value.permissions: at most twelve of 0 and 1, or *")
    return AdminRecord(mask, form.handle, _int32(form.index, "data.value.index"), form.legacyByteLength)


class KeyForm(msgspec.Struct):
    """A JWK of kind RSA or DSA, base64url."""

    kty: str
    n: str = ""
    e: str = ""
    y: str = ""
    p: str = ""
    q: str = ""
    g: str = ""


def _load_key(form: KeyForm) -> PublicKey:
    def number(name: str) -> int:
        text = getattr(form, name)
        octets = _base64(text.replace("-", "+").replace("_", "/").rstrip("="), f"data.value.{name}")
        if not octets:
            raise WireError(f"data.value.{name}: missing")
        return int.from_bytes(octets, "big")

    match form.kty.upper():
        case "RSA":
            return RsaKey(number("n"), number("e"))
        case "DSA":
            return DsaKey(number("q"), number("p"), number("g"), number("y"))
    raise WireError("data.value.kty: RSA or DSA")


class InterfaceForm(msgspec.Struct):
    """One door of a server."""

    protocol: int | str
    port: int
    query: bool = False
    admin: bool = False


class ServerForm(msgspec.Struct):
    """One server of a site."""

    address: str
    interfaces: Annotated[list[InterfaceForm], Meta(max_length=limits.SITE_INTERFACES_MAX)]
    serverId: int = 1  # noqa: N815 - the member's name
    publicKey: DataForm | None = None  # noqa: N815 - the member's name


class AttributeForm(msgspec.Struct):
    """One attribute of a site."""

    name: str
    value: str


class SiteForm(msgspec.Struct):
    """Site information as it is sent."""

    servers: Annotated[list[ServerForm], Meta(max_length=limits.SITE_SERVERS_MAX)]
    version: int = 1
    protocolVersion: str = "2.11"  # noqa: N815 - the member's name
    serialNumber: int = 1  # noqa: N815 - the member's name
    primarySite: bool = True  # noqa: N815 - the member's name
    multiPrimary: bool = False  # noqa: N815 - the member's name
    hashOption: int = int(HashOption.BY_ALL)  # noqa: N815 - the member's name
    hashFilter: str = ""  # noqa: N815 - the member's name
    attributes: Annotated[list[AttributeForm], Meta(max_length=limits.SITE_ATTRIBUTES_MAX)] = []


def load_site(value: object, where: str = "data.value") -> SiteInfo:
    """Return site information from its JSON form, read already.

    Errors: WireError that names the member, behind ``where``.
    """
    form = _shape(value, SiteForm, where)
    version = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", form.protocolVersion, re.ASCII)
    if version is None:
        raise WireError(f"{where}.protocolVersion: two numbers, such as 2.11")
    major, minor = (_bounded(int(part), 255, f"{where}.protocolVersion") for part in version.groups())
    return SiteInfo(
        _bounded(form.version, 65_535, f"{where}.version"),
        major,
        minor,
        _bounded(form.serialNumber, 65_535, f"{where}.serialNumber"),
        form.primarySite,
        form.multiPrimary,
        _bounded(form.hashOption, 255, f"{where}.hashOption"),
        form.hashFilter,
        tuple((attribute.name, attribute.value) for attribute in form.attributes),
        tuple(_load_server(server, f"{where}.servers[{at}]") for at, server in enumerate(form.servers)),
    )


def _load_server(form: ServerForm, where: str) -> ServerInfo:
    try:
        address = ipaddress.ip_address(form.address).packed
    except ValueError:
        raise WireError(f"{where}.address: {form.address[:60]!r} is no IP address") from None
    return ServerInfo(
        _int32(form.serverId, f"{where}.serverId"),
        address.rjust(16, b"\0"),
        b"" if form.publicKey is None else _load_server_key(form.publicKey, where),
        tuple(_load_interface(door, f"{where}.interfaces[{at}]") for at, door in enumerate(form.interfaces)),
    )


def _load_server_key(form: DataForm, where: str) -> bytes:
    if form.format == "site":  # sites in sites would be as deep as anyone likes
        raise WireError(f"{where}.publicKey.format: a key, or string, base64, hex")
    try:
        return load_data(form)
    except WireError as error:
        raise WireError(f"{where}.publicKey{error.message.removeprefix('data')}") from None


def _load_interface(form: InterfaceForm, where: str) -> Interface:
    if form.protocol in _PROTOCOLS:
        protocol = _PROTOCOLS.index(str(form.protocol))
    else:
        protocol = _bounded(integer(form.protocol, f"{where}.protocol"), 255, f"{where}.protocol")
    kind = (_QUERY if form.query else 0) | (_ADMIN if form.admin else 0)
    return Interface(kind, protocol, _bounded(form.port, 65_535, f"{where}.port"))


def _bounded(value: int, high: int, member: str) -> int:
    if not 0 <= value <= high:
        raise WireError(f"{member}: {value} is not in 0 … {high}")
    return value
