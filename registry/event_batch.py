"""The items of a batch of events, taken apart before any is read.

What has more than BATCH_ITEMS_MAX is refused before they are made: eight million octets can be four million items.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Final

import msgspec

from core import limits
from core.errors import LimitError
from core.wire.jsontext import parse

_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # a longer one would be told back


class EventForm(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """One item as it is sent: ``identifier``, or ``from`` and ``count``."""

    event: str
    time: str
    identifier: str | None = None
    start: _Number | None = None
    count: _Number | None = None
    until: str | None = None
    place: str = ""
    grade: str = ""
    parent: str | None = None


_ARRAY: Final = msgspec.json.Decoder(list[EventForm])
_LINE: Final = re.compile(rb"\S[^\n]*")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)  # a text without its end goes up to the end


def split(body: bytes, *, lines: bool) -> Sequence[EventForm | bytes]:
    """Return the items: the lines, or an array read at once where all is right, else the octets of each.

    Errors: LimitError for more than BATCH_ITEMS_MAX; WireError for what is no array of JSON.
    """
    if lines:
        found = [match.group() for match in islice(_LINE.finditer(body), limits.BATCH_ITEMS_MAX + 1)]
        if len(found) > limits.BATCH_ITEMS_MAX:
            raise _too_many()
        return found
    if body.count(b"{") <= limits.BATCH_ITEMS_MAX:  # so there are no more objects
        try:
            return _ARRAY.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    if _separators(body) >= limits.BATCH_ITEMS_MAX:
        raise _too_many()
    return [bytes(item) for item in parse(body, list[msgspec.Raw])]


def _separators(body: bytes) -> int:
    """Return how many commas separate the items of a JSON array, BATCH_ITEMS_MAX at most; of other text any number."""
    found = depth = 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token == b",":
            found += depth == 1
            if found == limits.BATCH_ITEMS_MAX:
                break
        elif token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
    return found


def _too_many() -> LimitError:
    return LimitError(
        f"一批最多 {limits.BATCH_ITEMS_MAX} 个事件，此批更多。"
        f"A batch has at most {limits.BATCH_ITEMS_MAX} events, this has more"
    )
