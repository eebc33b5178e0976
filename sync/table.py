"""What a table of the docking agreement is: number, cadence, key, fields. All of them: ``sync/tables.py``.

A row is the msgpack array of the values of the table's fields, in the order of the fields, in the one form that
``pack_row`` gives: both sides compare rows by their octets. What a field does not know is None: nothing is invented.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from core import limits
from core.errors import WireError

INTEGER_MAX: Final = 2**63 - 1

_PACK: Final = msgpack.Packer().pack
_PLAIN_BYTES: Final = 65_536  # a row up to this length is small, whatever is in it


class Cadence(Enum):
    """How often a table is sent."""

    REAL_TIME = "real time"
    HOURLY = "hourly"
    DAILY = "daily"
    MONTHLY = "monthly"

    __hash__ = object.__hash__  # members are singletons


class Basis(Enum):
    """What the serials of a table count."""

    FEED = "feed"  # changes of the store; a row follows each
    DAYS = "days"  # days of Asia/Shanghai since 1970-01-01; rows are added once a day
    WHOLE = "whole"  # nothing: all of it is sent when it is another

    __hash__ = object.__hash__


class Operation(IntEnum):
    """What happened to an identifier (T9); of other tables a row is there or is not."""

    NONE = 0
    ADD = 1
    DELETE = 2
    MODIFY = 3


class Field(NamedTuple):
    """One field of a table, or a member of what a list field lists.

    ``numbers``: in the docking agreement (of T1 and T6), or in the order in which that lists the fields; none is one
    that this node adds. ``kind``: text, texts, integer, flag, date, address, octets, digest or list. ``source``: where
    the node takes it from, in English. ``chars_max``: of a text, of each one of texts; octets of octets. ``choices``:
    empty for any. ``low``, ``high``: of an integer. ``items_max``: of texts and list. ``members``: of what a list
    lists, an array each in their order.
    """

    name: str
    numbers: tuple[int, ...]
    zh: str
    kind: str
    source: str
    chars_max: int = 0
    required: bool = False
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = INTEGER_MAX
    items_max: int = 0
    members: tuple[Field, ...] = ()


class TableKind(NamedTuple):
    """One table. ``name``: T1 to T13. ``personal``: its rows hold personal data, and are sealed at rest above.

    ``cadence``: by the docking agreement. ``sent``: how often this node sends it, never less often.
    """

    name: str
    zh: str
    en: str
    cadence: Cadence
    sent: Cadence
    basis: Basis
    key: str
    fields: tuple[Field, ...]
    personal: bool = False

    @property
    def number(self) -> int:
        """Return 1 to 13."""
        return int(self.name[1:])


class Members:
    """Counts the members of all lists of one msgpack as they are read: small ones take far more memory than octets.

    Bounds: UPSTREAM_MEMBERS_MAX.
    """

    def __init__(self) -> None:
        self._left = limits.UPSTREAM_MEMBERS_MAX

    def count(self, members: list[Any]) -> list[Any]:
        """Return a list as it is. Errors: ValueError for too many members."""
        self._left -= 1 + len(members)
        if self._left < 0:
            raise ValueError("members")
        return members


def pack_row(values: list[Any] | tuple[Any, ...]) -> bytes:
    """Return a row. ``values``: in the order of the fields."""
    row: bytes = _PACK(values)
    return row


def unpack_row(row: bytes) -> list[Any]:
    """Return the values of a row. Errors: WireError for what no ``pack_row`` made."""
    try:
        values = msgpack.unpackb(row, max_map_len=0, list_hook=None if len(row) <= _PLAIN_BYTES else Members().count)
        if not isinstance(values, list) or _PACK(values) != row:
            raise ValueError("form")
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
        raise WireError("这一行不是数据表的行。This is no row of a table") from None
    return values
