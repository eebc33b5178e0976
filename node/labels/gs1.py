"""What a symbol holds: the address of an identifier at this node, or GTIN and serial in the forms of GS1.

A unit code's whole suffix is the serial (AI 21): lot code and 10 characters, 20 at most.
Source: GS1 General Specifications (AI 01, AI 21, check digits, character set 82); GS1 Digital Link URI syntax 1.6.
"""

from __future__ import annotations

from urllib.parse import quote

from core import limits
from core.errors import ConfigError, IdentifierError, RecordError
from core.ident import alias
from core.ident.digital_link import DigitalLink, Element
from core.ident.gs1 import check_element


def gtin14(text: str) -> str:
    """Return a GTIN with 14 digits, zeros in front.

    Shape: 8, 12, 13 or 14 ASCII digits, no blanks; the last is the check digit.
    Errors: RecordError.
    """
    try:
        return alias.gtin14(text)
    except IdentifierError as error:
        raise RecordError(error.message) from None


def serial(suffix: str) -> str:
    """Return a suffix that can be a serial number (AI 21).

    Bounds: 1 to GS1_SERIAL_CHARS_MAX of the 82 characters of GS1. Case counts.
    Errors: RecordError.
    """
    try:
        check_element("21", suffix)
    except IdentifierError:
        raise RecordError(
            f"后缀不能作 GS1 序列号（至多 {limits.GS1_SERIAL_CHARS_MAX} 个字母、数字、符号）：{suffix!r}。The suffix "
            f"is no serial number of GS1: {limits.GS1_SERIAL_CHARS_MAX} letters, digits and marks at most"
        ) from None
    return suffix


def element_string(gtin: str, suffix: str) -> str:
    """Return GTIN and serial as a GS1 DataMatrix holds them: ``01{gtin14}21{suffix}``.

    Shape: no brackets and no FNC1, which the symbol itself has in front; the serial is last and needs none behind it.
    Errors: RecordError for a GTIN or a serial that is none.
    """
    return f"01{gtin14(gtin)}21{serial(suffix)}"


def digital_link(base: str, gtin: str, suffix: str) -> str:
    """Return GTIN and serial as a GS1 Digital Link URI: ``{base}/01/{gtin14}/21/{suffix}``, percent-encoded.

    ``base``: node.public_url, ``https://id.example.cn``; a slash at its end is dropped.
    Errors: ConfigError without a base, RecordError for a GTIN or a serial that is none.
    """
    if not base:
        raise ConfigError(
            "没有设置 node.public_url，无法写出 GS1 Digital Link。A GS1 Digital Link needs the setting node.public_url"
        )
    link = DigitalLink((Element("01", gtin14(gtin)), Element("21", serial(suffix))))
    return base.rstrip("/") + link.path


def address(base: str, identifier: str) -> str:
    """Return where this node shows an identifier, ``{base}/{prefix}/{suffix}``, percent-encoded.

    Without a base it is the bare identifier, which any resolver of the national system takes.
    Errors: RecordError for half of a surrogate pair.
    """
    if not base:
        return identifier
    prefix, slash, suffix = identifier.partition("/")
    try:
        return f"{base.rstrip('/')}/{quote(prefix, safe='')}{slash}{quote(suffix, safe='')}"
    except UnicodeEncodeError:
        raise RecordError(f"标识不是文本：{identifier!r}。The identifier is no text") from None


def printed(content: str) -> str:
    """Return an address with scheme and host in upper case; what is none stays as it is.

    Both are read in any case, and a QR code of capitals, digits and ``.:/-`` alone is a version smaller.
    Source: RFC 3986 §3.1, §3.2.2; ISO/IEC 18004, alphanumeric mode.
    """
    scheme, mark, rest = content.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return content
    host, slash, path = rest.partition("/")
    return f"{scheme.upper()}{mark}{host.upper()}{slash}{path}"
