"""What somebody asks for, told by its form alone.

    form                                                     kind
    https://…, a path that begins with an AI: 01/0690…       a GS1 key, as a Digital Link
    gtin:…, gtin+lot:…, gtin+serial:…, sscc:…, gln:…         the same
    oid:…, urn:oid:…, integers and dots below 0, 1 or 2      an OID
    ecode:…, bid:…, did:bid:…, vaa:…                         as they say
    all else                                                 a handle

A prefix handle whose prefix looks like an OID is written out: 0.NA/1.2.3.
"""

from __future__ import annotations

import difflib
import re
from enum import Enum
from typing import Final, NamedTuple

from core import limits
from core.errors import IdentifierError
from core.ident.alias import Alias, AliasKind, make_alias, parse_alias
from core.ident.digital_link import DigitalLink, Element, parse_path, parse_uri
from core.ident.gs1_table import KEYS

_SCHEMES: Final = ("http", "https")
_HEAD: Final = re.compile(r"[a-z]+(?:[+_ -][a-z]+)?", re.ASCII)
_OID: Final = re.compile(r"[0-2](?:\.[0-9]+)+", re.ASCII)
_KIND_NAMES: Final = [kind.value for kind in AliasKind]
_AIS: Final = {
    AliasKind.GTIN: ("01",),
    AliasKind.GTIN_LOT: ("01", "10"),
    AliasKind.GTIN_SERIAL: ("01", "21"),
    AliasKind.SSCC: ("00",),
    AliasKind.GLN: ("414",),
}


class Kind(Enum):
    """Kinds of identifiers. The value is what people read."""

    HANDLE = "handle"
    OID = "oid"
    GS1 = "gs1"
    ECODE = "ecode"
    BID = "bid"
    VAA = "vaa"

    __hash__ = object.__hash__  # members are singletons


class Asked(NamedTuple):
    """An identifier. ``text``: without blanks around it. ``link``: of a GS1 key; ``alias``: of all but handles.

    A GS1 key that was asked for as a Digital Link has no alias.
    """

    kind: Kind
    text: str
    alias: Alias | None = None
    link: DigitalLink | None = None


def read_identifier(text: str) -> Asked:
    """Tell what somebody asks for; the grammar of a handle is not looked at here.

    Bounds: DIGITAL_LINK_CHARS_MAX, HANDLE_BYTES_MAX. Errors: IdentifierError that says what would be right.
    """
    text = text.strip()
    if not text:
        raise IdentifierError("没有标识。There is no identifier")
    if len(text) > max(limits.DIGITAL_LINK_CHARS_MAX, limits.HANDLE_BYTES_MAX):
        raise IdentifierError("标识过长。The identifier is too long")
    head, colon, _ = text.partition(":")
    head = head.lower()
    if colon and head in _SCHEMES:
        return Asked(Kind.GS1, text, link=parse_uri(text))
    if text[:8].lower() == "urn:oid:" or _OID.fullmatch(text):
        return _named(text, make_alias(AliasKind.OID, text))
    if text[:8] == "did:bid:":
        return _named(text, make_alias(AliasKind.BID, text))
    if colon and _HEAD.fullmatch(head):
        return _named(text, _alias(text, head))
    if text.removeprefix("/").partition("/")[0] in KEYS and "/" in text.strip("/"):
        path, _, query = text.removeprefix("/").partition("?")
        return Asked(Kind.GS1, text, link=parse_path(f"/{path}", query))
    return Asked(Kind.HANDLE, text)


def _alias(text: str, head: str) -> Alias:
    """Errors: IdentifierError, with the kind that is nearest to what was written."""
    near = difflib.get_close_matches(head, _KIND_NAMES, n=1, cutoff=0.5)
    if head not in _KIND_NAMES and near:
        raise IdentifierError(f"没有这种标识 {head!r}，是否为 {near[0]}:？No such kind; {near[0]}: is meant?")
    return parse_alias(text)


def _named(text: str, alias: Alias) -> Asked:
    ais = _AIS.get(alias.kind)
    if ais is None:
        return Asked(Kind(alias.kind.value), text, alias)
    values = alias.value.split("/", 1)
    return Asked(Kind.GS1, text, alias, DigitalLink(tuple(map(Element, ais, values))))
