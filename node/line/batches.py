"""Facts as items of ``POST /v1/lots/{lot}/events``, with neighbours merged into ranges. Pure.

Codes whose indexes touch, with the same event, place and parent, become one item: ``time`` of the earliest,
``until`` of the latest, the worst ``grade``. A range is closed before anything else happens to one of its codes, so
that whoever takes the last time of a range for the time of each of its codes still sees time run forwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from core.clock import format_instant
from core.errors import WireError
from node.line.codes import Codes
from node.line.facts import COMMISSIONED, LOOSE, Fact
from node.line.shape import Lot, Span

PACKED: Final = "packed"


class Item(NamedTuple):
    """One item of a batch. ``parent``: the index of the case or pallet; -1 takes out, None says nothing of it."""

    event: str
    codes: Span
    at_ms: int
    until_ms: int
    grade: str = ""
    parent: int | None = None


def items_of(fact: Fact) -> Iterator[Item]:
    """Yield what a fact tells the node: a case that was not packed by rule says where its bags are, too."""
    if fact.event == LOOSE:
        yield Item(PACKED, fact.codes, fact.at_ms, fact.at_ms, parent=-1)
        return
    yield Item(fact.event, fact.codes, fact.at_ms, fact.at_ms, fact.grade)
    if fact.event == COMMISSIONED:
        for span in fact.children:
            yield Item(PACKED, span, fact.at_ms, fact.at_ms, parent=fact.codes.first)


def weight(fact: Fact) -> int:
    """Return how many items a fact is before anything is merged."""
    return 1 + len(fact.children)


def merge(items: Iterable[Item], lot: Lot) -> list[Item]:
    """Return the same events in fewer items; no range holds codes of two kinds."""
    merged: list[Item] = []
    opened = _Open(lot)
    for item in items:
        if opened.touches(item.codes):
            merged += opened.items()
            opened = _Open(lot)
        opened.add(item)
    return merged + opened.items()


class _Open:
    """Ranges that may still grow, found by either end. Memory: an octet an index of the lot."""

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._items: dict[int, Item] = {}  # by the number of its first event, which is its place
        self._begins: dict[tuple[object, int], int] = {}
        self._ends: dict[tuple[object, int], int] = {}
        self._touched = bytearray(lot.size)
        self._next = 0

    def touches(self, codes: Span) -> bool:
        """Say whether anything happened to one of these codes in a range that is open."""
        return self._touched.find(1, codes.first, codes.end) != -1

    def add(self, item: Item) -> None:
        """Enter an item whose codes nothing open touches."""
        self._touched[item.codes.first : item.codes.end] = b"\1" * item.codes.size
        key = (item.event, item.parent, bool(item.grade), self._lot.kind(item.codes.first))
        number = self._next
        self._next += 1
        before = self._ends.pop((key, item.codes.first), None)
        behind = self._begins.pop((key, item.codes.end), None)
        for other in (before, behind):
            if other is not None:
                item = _joined(item, self._items.pop(other))
                number = min(number, other)
        self._items[number] = item
        self._begins[key, item.codes.first] = number
        self._ends[key, item.codes.end] = number

    def items(self) -> list[Item]:
        """Return what is open, in the order of the first events."""
        return [self._items[number] for number in sorted(self._items)]


def _joined(one: Item, other: Item) -> Item:
    first = min(one.codes.first, other.codes.first)
    return one._replace(
        codes=Span(first, one.codes.size + other.codes.size),
        at_ms=min(one.at_ms, other.at_ms),
        until_ms=max(one.until_ms, other.until_ms),
        grade=max(one.grade, other.grade),
    )


def encode_items(items: Iterable[Item], place: str, codes: Codes) -> bytes:
    """Return the body of a batch: JSON lines, one item each."""
    return b"".join([msgspec.json.encode(_form(item, place, codes)) + b"\n" for item in items])


def _form(item: Item, place: str, codes: Codes) -> dict[str, Any]:
    form: dict[str, Any] = {"event": item.event, "from": item.codes.first, "count": item.codes.size}
    form["time"] = format_instant(item.at_ms)
    if item.until_ms != item.at_ms:
        form["until"] = format_instant(item.until_ms)
    form["place"] = place
    if item.grade:
        form["grade"] = item.grade
    if item.parent is not None:
        form["parent"] = codes[item.parent] if item.parent >= 0 else ""
    return form


def decode_items(body: bytes) -> list[dict[str, Any]]:
    """Return the items of a body that was written here. Errors: WireError."""
    try:
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in body.splitlines()]
    except msgspec.MsgspecError as error:
        raise WireError(f"上传内容无法读取 A batch cannot be read: {error}") from None
