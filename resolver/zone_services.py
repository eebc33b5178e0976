"""What an OID and a GTIN are answered with in DNS: NAPTR records, each a service and the URI that it leads to.

1. Flags ``u``: the output is a URI, and the rule is the last one. The regexp is ``!^.*$!URI!``, whatever was asked.
2. A URI holds neither the delimiter ``!`` nor a backslash, which would be a reference to a group: both are
   percent-encoded, as is all that no URI may hold. So nothing in it has to be escaped.
3. Order 100 and preference 10 for all: a client chooses by service first, and of each there is one.
4. Every string has at most 255 octets. Where the address of a handle is longer, UINF leads to the OID's own.

Source: RFC 3402 §3.2, RFC 3403 §4.1, RFC 3404 §4; ITU-T X.672 annexes A to E; GS1 ONS 2.0.1.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from core import limits
from core.errors import ConfigError
from core.wire.dns_rdata import naptr

CHILDREN: Final = "children.xml"
REGISTRANT: Final = "registrant.xml"
"""The documents behind CINF and RINF: ``resolver/oid_documents.py``."""

_ORS: Final = "dns.ors_services"
_ONS: Final = "dns.ons_service"
_TYPES: Final = ("COID", "CINF", "RINF", "UINF")
_NOTHING_BEHIND: Final = ("MINF", "LINF")
_ORDER: Final = 100
_PREFERENCE: Final = 10
_STRING_BYTES_MAX: Final = 255
_AROUND: Final = len("!^.*$!!")
_BEHIND_HEAD: Final = b"\0\0"  # an empty regexp, and the root as replacement
_URI_BYTES_MAX: Final = _STRING_BYTES_MAX - _AROUND
_LONGEST_PATH: Final = len(f"/oid//{REGISTRANT}") + limits.OID_CHARS_MAX  # no path of ours is longer, but UINF's
_PATH_SAFE: Final = "/$&'()*+,;=:@"  # as RFC 3986 §3.3, without "!"
_BASE_SAFE: Final = _PATH_SAFE + "%[]?#"


class OidServices:
    """Makes the NAPTR records of OIDs."""

    def __init__(self, services: tuple[str, ...], public_url: str) -> None:
        """Take the entries of dns.ors_services, and the address of this node. Errors: ConfigError."""
        self._base = parse_base(public_url)
        self._services: dict[str, bytes] = {}
        for entry in services:
            name, equals, text = (part.strip() for part in entry.partition("="))
            if name in _NOTHING_BEHIND:
                raise _wrong(_ORS, f"{name}: 本节点没有可提供的内容。This node has nothing to offer behind it")
            if name not in _TYPES or name in self._services:
                raise _wrong(_ORS, f"{entry!r} 未知或重复，可用 {' '.join(_TYPES)}。That is unknown or given twice")
            self._services[name] = _head(parse_service(_ORS, text if equals else f"ORS+{name}"))
        if not services:
            raise _wrong(_ORS, "至少一项。It takes one entry at least; without ORS, empty dns.ors_suffix")

    def data(self, oid: str, target: bytes) -> tuple[bytes, ...]:
        """Return the data of the records of an OID. ``target``: key of the handle that it is another name of."""
        return tuple([_data(head, self._uri(name, oid, target)) for name, head in self._services.items()])

    def _uri(self, name: str, oid: str, target: bytes) -> str:
        if name == "COID":
            return f"urn:oid:{oid}"
        if name == "UINF":
            uri = f"{self._base}/{quote(target, safe=_PATH_SAFE)}"
            return uri if len(uri) <= _URI_BYTES_MAX else f"{self._base}/oid/{oid}"
        return f"{self._base}/oid/{oid}/{CHILDREN if name == 'CINF' else REGISTRANT}"


class GtinServices:
    """Makes the NAPTR records of GTINs."""

    def __init__(self, service: str, public_url: str) -> None:
        """Take dns.ons_service, and the address of this node. Errors: ConfigError."""
        self._base = parse_base(public_url)
        self._head = _head(parse_service(_ONS, service))

    def data(self, gtin: str) -> tuple[bytes, ...]:
        """Return the data of the records of a GTIN, its Digital Link."""
        return (_data(self._head, f"{self._base}/01/{gtin}"),)


def parse_service(setting: str, text: str) -> str:
    """Return the services field. Errors: ConfigError for what is no visible ASCII, or too long."""
    if not (text.isascii() and text.isprintable() and 0 < len(text) <= _STRING_BYTES_MAX):
        raise _wrong(setting, f"{text!r} 应为1至255个 ASCII 字符。A service has 1 to 255 characters of visible ASCII")
    return text


def parse_base(public_url: str) -> str:
    """Return the address of this node as it stands in a URI, without a slash at its end. Errors: ConfigError."""
    base = quote(public_url.rstrip("/"), safe=_BASE_SAFE)
    most = _URI_BYTES_MAX - _LONGEST_PATH
    if not 0 < len(base) <= most:
        raise _wrong("node.public_url", f"DNS 应答中至多 {most} 字节。In answers of DNS it takes {most} octets at most")
    return base


def _head(service: str) -> bytes:
    """Return what all records of a service begin with: all of one with an empty regexp, but for that."""
    return naptr(_ORDER, _PREFERENCE, flags="u", services=service)[: -len(_BEHIND_HEAD)]


def _data(head: bytes, uri: str) -> bytes:
    """Return the data of a record. ``uri``: at most _URI_BYTES_MAX octets of ASCII."""
    octets = uri.encode()
    return b"%b%c!^.*$!%b!\0" % (head, len(octets) + _AROUND, octets)


def _wrong(setting: str, words: str) -> ConfigError:
    return ConfigError(f"{setting}: {words}", setting=setting)
