"""What a camera reads from a bag, reduced to the code that it names. Pure.

| carrier | what is read |
|---|---|
| identifier, or its suffix | ``88.118.7/L1…``, ``L1…`` |
| address | ``HTTPS://ID.EXAMPLE.CN/88.118.7/L1…`` |
| GS1 Digital Link | ``HTTPS://ID.EXAMPLE.CN/01/<GTIN>/21/L1…`` |
| GS1 element string | ``01<GTIN>21L1…``, other elements among them, FNC1 as octet 29 |
| the same, for people | ``(01)<GTIN>(21)L1…`` |

A symbology identifier in front (``]d2``) is dropped. No form of GS1 has a prefix; the GTIN is not compared, since a
site knows none: lot code and ten characters say which code it is.
Source: GS1 General Specifications (AI 21; elements of a length that is fixed; symbology identifiers); GS1 Digital
Link URI syntax 1.6.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

FNC1: Final = "\x1d"
"""How a reader tells that an element ends which has no fixed length."""

_SERIAL: Final = "21"
_FIXED: Final = {"00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "20": 4, "41": 16} | {
    f"{identifier:02}": size for size, few in ((8, range(11, 20)), (10, range(31, 37))) for identifier in few
}
_SYMBOLOGY: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_ELEMENTS: Final = re.compile(r"01[0-9]{14}")
_BRACKETED: Final = re.compile(r"\(([0-9]{2,4})\)([^(]*)")
_DIGITAL_LINK: Final = re.compile(r"(?:^|/)01/[0-9]{8,14}(?:/(.*))?$", re.DOTALL)
_QUERY: Final = re.compile(r"[?#]")


class Carried(NamedTuple):
    """What a carrier says. ``prefix``: empty where it says none; ``suffix``: lot code and serial characters."""

    prefix: str
    suffix: str


def read_carrier(text: str) -> Carried | None:
    """Return what a text that was read carries, None where no code can be in it; total on any text."""
    text = _SYMBOLOGY.sub("", text, count=1) if text.startswith("]") else text
    text = text.strip(FNC1)
    if text.startswith("("):
        return _gs1(dict(_BRACKETED.findall(text)))
    if _ELEMENTS.match(text):
        return _gs1(_elements(text))
    path = unquote(_QUERY.split(text, maxsplit=1)[0]).rstrip("/")
    link = _DIGITAL_LINK.search(path)
    if link is not None:
        pairs = (link[1] or "").split("/")
        return _gs1(dict(zip(pairs[::2], pairs[1::2], strict=False)))
    *before, suffix = path.rsplit("/", 2)
    return Carried(before[-1] if before else "", suffix) if suffix else None


def _gs1(elements: dict[str, str]) -> Carried | None:
    serial = elements.get(_SERIAL, "").strip(FNC1)
    return Carried("", serial) if serial else None


def _elements(text: str) -> dict[str, str]:
    """Return the elements of a string by the first two digits of each: fixed in length, or up to an FNC1."""
    found: dict[str, str] = {}
    while text:
        fixed = _FIXED.get(text[:2])
        element, text = (text[:fixed], text[fixed:]) if fixed else text.partition(FNC1)[::2]
        found.setdefault(element[:2], element[2:])
        text = text.lstrip(FNC1)
    return found
