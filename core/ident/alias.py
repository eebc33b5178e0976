"""Aliases: the other names of a record, a lot or a unit, ``KIND:VALUE``.

    kind         value, as it is compared
    gtin         14 digits; 8, 12 or 13 get zeros in front
    gtin+lot     GTIN, "/", batch or lot number (AI 10)
    gtin+serial  GTIN, "/", serial number (AI 21)
    sscc         18 digits (AI 00)
    gln          13 digits (AI 414)
    oid          integer arcs, 1.2.156.99999.7
    ecode        digits and capital letters; blanks, dots and hyphens between them are dropped [M]
    bid          did:bid:…, as written [M]
    vaa          VAA, then digits and capital letters; small ones become capital [M]

[M]: the form is that of the national routes' six kinds as far as it is public; no conformance is claimed.
Source: Measures art. 19; docking agreement of the national node §2 (kinds of route).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from core import limits
from core.errors import IdentifierError
from core.ident.gs1 import check_digit, check_element
from core.ident.oid import check_oid

_NAME_CHARS: Final = 20  # of what is looked at for a kind that was meant
_LENGTHS: Final = (8, 12, 13, 14)
_ECODE: Final = re.compile(r"[0-9A-Z]{6,64}", re.ASCII)
_BID: Final = re.compile(r"did:bid:(?:[a-z0-9]{4}:)?[0-9A-Za-z]{2,64}", re.ASCII)
_VAA: Final = re.compile(r"VAA[0-9A-Z]{1,61}", re.ASCII)
_BETWEEN: Final = str.maketrans("", "", " .-")


class AliasKind(Enum):
    """The kinds. The value is what people write."""

    GTIN = "gtin"
    GTIN_LOT = "gtin+lot"
    GTIN_SERIAL = "gtin+serial"
    SSCC = "sscc"
    GLN = "gln"
    OID = "oid"
    ECODE = "ecode"
    BID = "bid"
    VAA = "vaa"

    __hash__ = object.__hash__  # members are singletons


class Alias(NamedTuple):
    """One alias: kind, and value as it is compared."""

    kind: AliasKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.value}"


def parse_alias(text: str) -> Alias:
    """Read ``KIND:VALUE``. Errors: IdentifierError that says what would be right. Bounds: ALIAS_CHARS_MAX."""
    name, colon, value = text.partition(":")
    kind = _KINDS.get(name.strip().lower())
    if kind is None or not colon:
        near = difflib.get_close_matches(name.strip().lower()[:_NAME_CHARS], _KINDS, n=1) if colon else []
        meant = f"（您是想用 Did you mean {near[0]}?）" if near else ""
        raise IdentifierError(
            f"别名应写作 类型:值，类型为 {' '.join(_KINDS)} 之一：{text[:80]!r}{meant}。An alias is written "
            "KIND:VALUE, its kind one of these"
        )
    return make_alias(kind, value)


def make_alias(kind: AliasKind, value: str) -> Alias:
    """Return an alias of a kind. Errors: IdentifierError."""
    if not 0 < len(value) <= limits.ALIAS_CHARS_MAX:
        raise IdentifierError(
            f"别名的值应为1至 {limits.ALIAS_CHARS_MAX} 个字符。The value of an alias has 1 to {limits.ALIAS_CHARS_MAX} "
            "characters"
        )
    return Alias(kind, _CHECKS[kind](value.strip()))


def gtin14(text: str) -> str:
    """Return a GTIN with 14 digits, zeros in front. Errors: IdentifierError for any other number, or a wrong digit."""
    if not (text.isascii() and text.isdigit() and len(text) in _LENGTHS):
        raise IdentifierError(f"GTIN 应为8、12、13或14位数字：{text[:40]!r}。A GTIN has 8, 12, 13 or 14 digits")
    right = check_digit(text[:-1])
    if right != text[-1]:
        raise IdentifierError(
            f"GTIN 的校验码不符：{text}，应为 {right}。The check digit of the GTIN is wrong: {right} is right"
        )
    return text.zfill(14)


def _element(ai: str, value: str) -> str:
    check_element(ai, value)
    return value


def _below(ai: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        gtin, slash, rest = value.partition("/")
        if not slash:
            raise IdentifierError(f"应写作 GTIN/值：{value[:80]!r}。Write the GTIN, a slash and the rest")
        return f"{gtin14(gtin)}/{_element(ai, rest)}"

    return check


def _matching(pattern: re.Pattern[str], what: str, prepare: Callable[[str], str] = str) -> Callable[[str], str]:
    def check(value: str) -> str:
        prepared = prepare(value)
        if not value.isascii() or pattern.fullmatch(prepared) is None:  # "ß" in capitals is "SS"
            raise IdentifierError(f"{value[:80]!r} 不是{what}")
        return prepared

    return check


def _ecode(value: str) -> str:
    return value.translate(_BETWEEN).upper()


def _bid(value: str) -> str:
    return value if value.startswith("did:") else f"did:bid:{value}"


_KINDS: Final = {kind.value: kind for kind in AliasKind}
_CHECKS: Final[dict[AliasKind, Callable[[str], str]]] = {
    AliasKind.GTIN: gtin14,
    AliasKind.GTIN_LOT: _below("10"),
    AliasKind.GTIN_SERIAL: _below("21"),
    AliasKind.SSCC: lambda value: _element("00", value),
    AliasKind.GLN: lambda value: _element("414", value),
    AliasKind.OID: check_oid,
    AliasKind.ECODE: _matching(
        _ECODE, " Ecode（6至64位数字和大写字母）。No Ecode: 6 to 64 digits and capitals", _ecode
    ),
    AliasKind.BID: _matching(
        _BID, " DID:BID。No DID:BID: did:bid:, four characters and a colon if any, then 2 to 64", _bid
    ),
    AliasKind.VAA: _matching(_VAA, " VAA 码。No VAA code: VAA, then 1 to 61 digits and capitals", str.upper),
}
