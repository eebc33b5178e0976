"""Answers that are remembered for as long as they hold. Time is told, never read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Held(NamedTuple, Generic[T]):
    """What is remembered, and until when."""

    answer: T
    size_bytes: int
    until_s: float


class Cache(Generic[T]):
    """At most ``most`` answers of ``bytes_most`` octets together; those go first that were asked for longest ago."""

    def __init__(self, most: int, bytes_most: int) -> None:
        self._most = most
        self._bytes_most = bytes_most
        self._held: OrderedDict[Hashable, Held[T]] = OrderedDict()
        self._bytes = 0

    def put(self, key: Hashable, held: Held[T]) -> None:
        """Remember an answer instead of any earlier one; one that is larger than all may be is not remembered."""
        self._drop(key)
        if held.size_bytes > self._bytes_most:
            return
        self._held[key] = held
        self._bytes += held.size_bytes
        while len(self._held) > self._most or self._bytes > self._bytes_most:
            self._drop(next(iter(self._held)))

    def get(self, key: Hashable, now_s: float) -> Held[T] | None:
        """Return what is remembered, None where there is nothing, or nothing that still holds."""
        held = self._held.get(key)
        if held is None:
            return None
        if held.until_s <= now_s:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held

    def _drop(self, key: Hashable) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self._bytes -= held.size_bytes
