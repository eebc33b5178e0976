"""Regions of GB/T 2260: provinces, prefectures and counties, each a code of six digits.

Two digits each for province, prefecture and county, 00 where the code stops above.
``regions.txt`` holds the codes given out in 2023 and all that were since 1980: an identity
card and a certificate keep the code of the day on which they were issued. Its head names
its sources. A county that is too new for it lies in a province that it knows, so that an
unknown county is a warning and only an unknown province a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from importlib.resources import files
from typing import Final, NamedTuple

NATIONAL: Final = "100000"
"""In a USCC: registered with the national authority, in no province [M]."""

GROUPS: Final = frozenset({"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"})
"""Names of what only groups districts or counties; left out of a full name."""


class Region(NamedTuple):
    """One code. ``until``: yyyymm of the last revision that had it, empty for a code in use."""

    code: str
    name: str
    until: str


class Known(Enum):
    """What the table says of a code."""

    CURRENT = "current"
    FORMER = "former"
    UNKNOWN_COUNTY = "unknown-county"  # the province is known
    UNKNOWN = "unknown"


def _load() -> Iterator[tuple[str, Region]]:
    text = files("core.party").joinpath("regions.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            code, name, *until = line.split(" ")
            yield code, Region(code, name, until[0] if until else "")


REGIONS: Final[dict[str, Region]] = dict(_load())


def look_up(code: str) -> Known:
    """Say what is known of a code, whatever text it is."""
    region = REGIONS.get(code)
    if region is not None:
        return Known.FORMER if region.until else Known.CURRENT
    if len(code) == 6 and code.isascii() and code.isdigit() and province_of(code) in REGIONS:
        return Known.UNKNOWN_COUNTY
    return Known.UNKNOWN


def province_of(code: str) -> str:
    """Return the code of the province that a code lies in."""
    return code[:2] + "0000"


def prefecture_of(code: str) -> str:
    """Return the code of the prefecture that a code lies in."""
    return code[:4] + "00"


def names_of(code: str) -> tuple[str, str, str]:
    """Return the names of province, prefecture and county: fields 25 to 27 of T6; "" where there is none that is known.

    Without repetition: the code of a province has a province alone.
    """
    if look_up(code) is Known.UNKNOWN:
        return "", "", ""
    steps = (province_of(code), prefecture_of(code), code)
    names = (REGIONS[each].name if each in REGIONS and each not in steps[:at] else "" for at, each in enumerate(steps))
    province, prefecture, county = names
    return province, prefecture, county


def full_name(code: str) -> str:
    """Return the names from the province down to the county as one text; "" for an unknown province."""
    return "".join(name for name in names_of(code) if name not in GROUPS)


def overlap(one: str, other: str) -> bool:
    """Whether one of two codes is the other or lies in it."""
    short, long = sorted((_stem(one), _stem(other)), key=len)
    return long.startswith(short)


def _stem(code: str) -> str:
    """Cut off the pairs that say "all of it"."""
    return code[:2] if code[2:] == "0000" else code[:4] if code[4:] == "00" else code
