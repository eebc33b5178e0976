"""Metadata templates: which items the record of an identifier has, and what the data of each is.

The templates of tables T4 and T11 of the docking guide: code, industry at four levels (GB/T 4754—2017),
version, object type, items. They have nothing to do with template handles (``core/wire/template.py``,
HS_NAMESPACE). A record is bound to one by a value of the type METADATA_TEMPLATE whose data is
``CODE@VERSION``; each item is then the type of values of the record. Codes and names of items compare
without regard to ASCII case, versions by their numbers: 1, V1.0 and 01 are one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from core import limits
from core.party.contacts import parse_url
from core.party.rules import RuleError
from core.wire.valuetypes import METADATA_TEMPLATE

_DIGITS: Final = limits.METADATA_VERSION_DIGITS_MAX
_CODE: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{limits.METADATA_CODE_CHARS_MAX - 1}}}", re.ASCII)
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{limits.METADATA_ITEM_CHARS_MAX - 1}}}", re.ASCII)
_VERSION: Final = re.compile(
    rf"[Vv]?\d{{1,{_DIGITS}}}(?:\.\d{{1,{_DIGITS}}}){{0,{limits.METADATA_VERSION_NUMBERS_MAX - 1}}}", re.ASCII
)
_BINDING_BYTES_MAX: Final = 1 + limits.METADATA_CODE_CHARS_MAX + 1 + limits.METADATA_VERSION_CHARS_MAX

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_TIME_CHARS_MAX: Final = len("2026-01-31T08:00:00.123456789+08:00")


class Item(NamedTuple):
    """One item. ``name``: type of the values that hold it. ``length``: characters of its data at most."""

    name: str
    alias: str
    type: str
    length: int
    required: bool = True
    unit: str = ""


class MetadataTemplate(NamedTuple):
    """A metadata template, as it was filed.

    ``industry``: section, division, group and class; empty where it was not given. ``active``: of active
    identifier carriers. ``party``: whose it is (T11), empty for one of the node (T4).
    """

    code: str
    version: str
    industry: tuple[str, str, str, str]
    active: bool
    items: tuple[Item, ...]
    name: str = ""
    description: str = ""
    party: str = ""


class Binding(NamedTuple):
    """What a record says of its template. ``version``: empty where it names none."""

    code: str
    version: str


# --- codes and versions ------------------------------------------------------
def is_code(text: str) -> bool:
    """Whether it is the code of a template. Bounds: METADATA_CODE_CHARS_MAX."""
    return _CODE.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether it is a version: numbers divided by ".", and "V" before them or not."""
    return _VERSION.fullmatch(text) is not None


def version_numbers(version: str) -> tuple[int, ...]:
    """Return what a version is compared by: its numbers without the zeros at the end."""
    numbers = [int(part) for part in version.lstrip("Vv").split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def template_key(code: str, version: str) -> bytes:
    """Return what stands for one version: the folded code, "@", its numbers. Bounds: PREFIX_CHARS_MAX octets."""
    return f"{code.upper()}@{'.'.join(map(str, version_numbers(version)))}".encode()


def code_range(code: str) -> tuple[bytes, bytes]:
    """Return the keys between which all versions of a code lie, the second not included."""
    folded = code.upper().encode()
    return folded + b"@", folded + b"A"  # "A" follows "@", and no character of a code lies between


def is_binding(value_type: str) -> bool:
    """Whether a value of this type binds its record."""
    return len(value_type) == len(METADATA_TEMPLATE) and value_type.upper() == METADATA_TEMPLATE


def parse_binding(data: bytes) -> Binding | None:
    """Read the data of a binding, None if it is none. Shape: ``CODE@VERSION``, or ``CODE`` alone."""
    if len(data) > _BINDING_BYTES_MAX or not data.isascii():
        return None
    code, at, version = data.decode("ascii").partition("@")
    if not is_code(code) or (at and not is_version(version)):
        return None
    return Binding(code, version)


# --- items -------------------------------------------------------------------
def is_item_name(text: str) -> bool:
    """Whether an item may have this name: a value type that the node has no use of its own for."""
    folded = text.upper()
    return _NAME.fullmatch(text) is not None and not folded.startswith("HS_") and folded != METADATA_TEMPLATE


class DataType(NamedTuple):
    """A type of data: what it must be, in Chinese and English, and whether a text is it.

    ``chars_min``: of the shortest text. ``chars_max``: where the grammar bounds it, which the length of
    an item then does not; else 0. Cost of ``reads``: linear.
    """

    zh: str
    en: str
    reads: Callable[[str], bool]
    chars_max: int = 0


def _is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    try:
        datetime.date(*map(int, match.groups()))
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    return match is not None and _is_date(match[1])


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except RuleError:
        return False
    return True


DATA_TYPES: Final[dict[str, DataType]] = {
    "text": DataType("文本，不含控制字符", "text without control characters", lambda text: not _CONTROL.search(text)),
    "integer": DataType("整数，如 -12", "a whole number such as -12", lambda text: bool(_INTEGER.fullmatch(text))),
    "decimal": DataType("小数，如 -12.50", "a number such as -12.50", lambda text: bool(_DECIMAL.fullmatch(text))),
    "date": DataType("真实日期，如 2026-01-31", "a real date such as 2026-01-31", _is_date, 10),
    "datetime": DataType(
        "带时区的真实时间，如 2026-01-31T08:00:00+08:00",
        "a real time with its offset, such as 2026-01-31T08:00:00+08:00",
        _is_time,
        _TIME_CHARS_MAX,
    ),
    "boolean": DataType("true 或 false", "true or false", lambda text: text in ("true", "false"), 5),
    "url": DataType("http或https网址", "an http or https address", _is_url),
}
"""The types that an item may have. Source: ours; the docking guide names none."""


def fold(name: str) -> str:
    """Return a name as it is compared: a-z as A-Z, other characters as they are."""
    return name.upper() if name.isascii() else name.encode().upper().decode()
