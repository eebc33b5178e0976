"""The JSON form of handle values, as the reference server writes and reads it.

    {"index", "type", "data": {"format", "value"}, ["permissions"], "ttl",
     ["timestamp"], ["references"]}

``permissions`` is left out when 1110, ``timestamp`` when 0. ``ttl`` is a number of
seconds, or the time of day in ISO form when absolute. Formats of ``data``: string,
base64, hex (read only), admin, vlist, site, key. Data of a structured type that
does not decode is written as string or base64; so is everything else, as string
where it is UTF-8 without the controls 00-08, 14-1F and 7F.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from core import limits
from core.clock import format_utc, parse_utc
from core.errors import NodeError, RecordError, WireError
from core.records import (
    ADMIN_PERMISSIONS_ALL,
    PERMISSIONS_USUAL,
    AdminRecord,
    DsaKey,
    HandleValue,
    HashOption,
    Interface,
    PublicKey,
    RsaKey,
    ServerInfo,
    SiteInfo,
    ValueReference,
    Values,
)
from core.wire.admin import encode_admin, encode_group
from core.wire.jsontext import parse, quote, quote_name
from core.wire.publickey import decode_public_key, encode_public_key
from core.wire.site import encode_site
from core.wire.valuetypes import VALUE_TYPES

# --- writing -----------------------------------------------------------------

_NOT_TEXT: Final = re.compile("[\x00-\x08\x14-\x1f\x7f]")
_PROTOCOLS: Final = ("UDP", "TCP", "HTTP", "HTTPS")
_QUERY: Final = 2
_ADMIN: Final = 1


def dump_values(values: Values) -> bytes:
    """Return the JSON array of the values, in their order."""
    return ("[" + ",".join([dump_value(value) for value in values]) + "]").encode()


def dump_value(value: HandleValue) -> str:
    """Return the JSON form of one value."""
    ttl = f'"{format_utc(value.ttl)}"' if value.ttl_absolute else value.ttl
    text = f'{{"index":{value.value_index},"type":{quote_name(value.type)},"data":{dump_data(value.type, value.data)}'
    if value.permissions != PERMISSIONS_USUAL:
        text += f',"permissions":"{value.permissions:04b}"'
    text += f',"ttl":{ttl}'
    if value.timestamp:
        text += f',"timestamp":"{format_utc(value.timestamp)}"'
    if value.references:
        text += f',"references":{_dump_references(value.references)}'
    return text + "}"


def dump_data(kind: str, data: bytes) -> str:
    """Return the JSON form of the data of one value type."""
    if kind in VALUE_TYPES:
        return _dump_structured(kind, data)
    return dump_octets(data)


@lru_cache(maxsize=512)
def _dump_structured(kind: str, data: bytes) -> str:
    """Cached: the same administrator stands in millions of records."""
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
            return f'{{"format":"vlist","value":{_dump_references(structure)}}}'
    return None  # JWS and keys of other kinds are written as the octets that they are


def _has_json(server: ServerInfo) -> bool:
    """Whether the JSON form can say all of it: kinds of doors as two flags, ports of 16 bits."""
    return all(door.kind <= _QUERY | _ADMIN and 0 <= door.port <= 65_535 for door in server.interfaces)


def _dump_references(references: tuple[ValueReference, ...]) -> str:
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


class ValueForm(msgspec.Struct):
    """One value as it is sent. Unknown members are ignored, as the reference server does."""

    index: int | str
    type: str
    data: str | DataForm
    permissions: str | None = None
    ttl: int | str | None = None
    timestamp: str | None = None
    references: list[ReferenceForm] | None = None


class RecordForm(msgspec.Struct):
    """``{"handle", "values"}``: one line of an import, one item of a batch."""

    handle: str
    values: list[ValueForm]


_SECONDS_MAX: Final = 2**32 - 1


def load_values(forms: list[ValueForm], now: int, *, keep_timestamps: bool = False) -> Values:
    """Return the values of a request, stamped with the server's time.

    The time that a request gives is ignored unless ``keep_timestamps`` (an import).
    Bounds: VALUES_PER_RECORD_MAX, TYPE_BYTES_MAX, RECORD_BYTES_MAX by check_values().
    Errors: WireError or RecordError that names the value and the member.
    """
    values = []
    for position, form in enumerate(forms):
        try:
            values.append(_load_value(form, now, keep_timestamps))
        except NodeError as error:
            error.args = (f"values[{position}].{error.message}",)
            error.message = error.args[0]
            raise
    return tuple(values)


def _load_value(form: ValueForm, now: int, keep_timestamps: bool) -> HandleValue:
    ttl, absolute = limits.TTL_S_DEFAULT, False
    if form.ttl is not None:
        ttl, absolute = _load_ttl(form.ttl)
    timestamp = now
    if keep_timestamps and form.timestamp is not None:
        timestamp = _load_time(form.timestamp, "timestamp")
    references = tuple(_load_reference(ref, "references") for ref in form.references or ())
    index = form.index if type(form.index) is int else _integer(form.index, "index")
    if not -(2**31) <= index < 2**31:
        raise WireError(f"index: {index} does not fit in 32 bits")
    return HandleValue(
        index,
        form.type,
        form.data.encode() if isinstance(form.data, str) else load_data(form.data),
        ttl,
        absolute,
        PERMISSIONS_USUAL if form.permissions is None else _load_permissions(form.permissions),
        timestamp,
        references,
    )


def _load_ttl(ttl: int | str) -> tuple[int, bool]:
    if isinstance(ttl, str):
        return _load_time(ttl, "ttl"), True
    if not 0 <= ttl <= limits.TTL_S_MAX:
        raise RecordError(f"ttl: {ttl} is not in 0 … {limits.TTL_S_MAX} seconds")
    return ttl, False


def _load_time(text: str, member: str) -> int:
    seconds = parse_utc(text)
    if seconds is None or not 0 <= seconds <= _SECONDS_MAX:
        raise WireError(f"{member}: {text[:40]!r} is no time of the form 2026-01-31T12:00:00Z")
    return seconds


def _load_permissions(text: str) -> int:
    if text == "*":
        return 0b1111
    if re.fullmatch("[01]{4}", text, re.ASCII) is None:
        raise WireError(
            "permissions: four of 0 and 1 (admin read, admin write, public read, public write), such as 1110"
        )
    return int(text, 2)


def _integer(value: object, member: str) -> int:
    """Accept a number, or its digits as text, as the reference server does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        return int(value)
    raise WireError(f"{member}: expected an integer")


def _int32(value: object, member: str) -> int:
    number = _integer(value, member)
    if not -(2**31) <= number < 2**31:
        raise WireError(f"{member}: {number} does not fit in 32 bits")
    return number


def _load_reference(form: ReferenceForm, member: str) -> ValueReference:
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
            return encode_group(tuple(_load_reference(member, "data.value") for member in members))
        case "site":
            return encode_site(_load_site(_shape(value, SiteForm)))
        case "key":
            return encode_public_key(_load_key(_shape(value, KeyForm)))
    raise WireError(f"data.format: {form.format[:40]!r} is none of string, base64, hex, admin, vlist, site, key")


def _shape(value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise WireError(f"data.value: {error}".replace("`", "")) from None


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
    interfaces: list[InterfaceForm]
    serverId: int = 1  # noqa: N815 - the member's name
    publicKey: DataForm | None = None  # noqa: N815 - the member's name


class AttributeForm(msgspec.Struct):
    """One attribute of a site."""

    name: str
    value: str


class SiteForm(msgspec.Struct):
    """Site information as it is sent."""

    servers: list[ServerForm]
    version: int = 1
    protocolVersion: str = "2.11"  # noqa: N815 - the member's name
    serialNumber: int = 1  # noqa: N815 - the member's name
    primarySite: bool = True  # noqa: N815 - the member's name
    multiPrimary: bool = False  # noqa: N815 - the member's name
    hashOption: int = int(HashOption.BY_ALL)  # noqa: N815 - the member's name
    hashFilter: str = ""  # noqa: N815 - the member's name
    attributes: list[AttributeForm] = []


def _load_site(form: SiteForm) -> SiteInfo:
    version = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", form.protocolVersion, re.ASCII)
    if version is None:
        raise WireError("data.value.protocolVersion: two numbers, such as 2.11")
    major, minor = (_bounded(int(part), 255, "protocolVersion") for part in version.groups())
    return SiteInfo(
        _bounded(form.version, 65_535, "version"),
        major,
        minor,
        _bounded(form.serialNumber, 65_535, "serialNumber"),
        form.primarySite,
        form.multiPrimary,
        _bounded(form.hashOption, 255, "hashOption"),
        form.hashFilter,
        tuple((attribute.name, attribute.value) for attribute in form.attributes),
        tuple(map(_load_server, form.servers)),
    )


def _load_server(form: ServerForm) -> ServerInfo:
    try:
        address = ipaddress.ip_address(form.address).packed
    except ValueError:
        raise WireError(f"data.value.servers.address: {form.address[:60]!r} is no IP address") from None
    return ServerInfo(
        _int32(form.serverId, "data.value.servers.serverId"),
        address.rjust(16, b"\0"),
        load_data(form.publicKey) if form.publicKey is not None else b"",
        tuple(map(_load_interface, form.interfaces)),
    )


def _load_interface(form: InterfaceForm) -> Interface:
    if form.protocol in _PROTOCOLS:
        protocol = _PROTOCOLS.index(str(form.protocol))
    else:
        protocol = _bounded(_integer(form.protocol, "data.value.servers.interfaces.protocol"), 255, "protocol")
    kind = (_QUERY if form.query else 0) | (_ADMIN if form.admin else 0)
    return Interface(kind, protocol, _bounded(form.port, 65_535, "port"))


def _bounded(value: int, high: int, member: str) -> int:
    if not 0 <= value <= high:
        raise WireError(f"data.value: {member} {value} is not in 0 … {high}")
    return value


def parse_values(body: bytes) -> list[ValueForm]:
    """Read the body of a PUT: ``{"values": […]}``, a bare array, or a single value.

    Errors: WireError that says what is wrong and where.
    """
    start = body.lstrip()[:1]
    if start == b"[":
        forms: list[ValueForm] = parse(body, list[ValueForm])
        return forms
    if start != b"{":
        raise WireError("Invalid JSON in PUT request: expected an object or an array of values")
    members = parse(body, dict[str, msgspec.Raw])
    if "values" in members:
        return parse(body, _ValuesForm).values or []
    if {"index", "type", "data"} <= members.keys():
        return [parse(body, ValueForm)]
    raise WireError("Invalid JSON in PUT request: neither values nor index, type and data")


def parse_handle_member(body: bytes) -> str | None:
    """Return the member ``handle`` of a PUT's body, if there is one. Errors: WireError."""
    if body.lstrip()[:1] != b"{":
        return None
    handle: str | None = parse(body, _HandleForm).handle
    return handle


class _ValuesForm(msgspec.Struct):
    values: list[ValueForm] | None = None


class _HandleForm(msgspec.Struct):
    handle: str | None = None
