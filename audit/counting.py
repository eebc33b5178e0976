"""Counts what the logs of some days say: resolutions by month, protocol and outcome; entries by stream and act.

Looks at each entry on the way: where a client is told, it is a keyed hash and a network, and never an address.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from audit.block import is_block, open_body, read_body
from audit.clients import HASH_BYTES
from audit.inspection import Month, Part
from audit.reading import LogReadError
from audit.rows import ACTION
from core.clock import parse_instant
from core.events import PROTOCOLS, Via
from core.streams import Stream

_ORIGIN: Final = frozenset({"client", "net", "port", "protocol"})
_HASH: Final = re.compile(rf"[0-9a-f]{{{2 * HASH_BYTES}}}")
_NETWORK: Final = re.compile(r"[0-9.]+/24|[0-9a-f:]+/48")


class Counting:
    """Counts entries from one millisecond to another. ``look``: is shown the octets of blocks, opened."""

    def __init__(self, begin_ms: int, end_ms: int, look: Callable[[str, bytes], None]) -> None:
        self._begin_ms, self._end_ms = begin_ms, end_ms
        self._look = look
        self.resolutions: Counter[tuple[str, int, str]] = Counter()
        self.entries: Counter[tuple[str, str]] = Counter()

    def take(self, month: Month, part: Part) -> None:
        """Count the entries of a bundle. Errors: LogReadError for a leaf that is none, or tells an address."""
        for index, leaf in enumerate(part.leaves, part.first):
            try:
                if is_block(leaf):
                    self._block(month, leaf)
                elif index or leaf[:1] == b"{":  # else the last checkpoint of the month before
                    self._entry(month, leaf)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise LogReadError(
                    f"{month.path} index {index}：条目有误（{error}），未生成文件。The entry is wrong ({error}); "
                    "nothing was made"
                ) from None

    def _block(self, month: Month, leaf: bytes) -> None:
        """Errors: ValueError."""
        body = open_body(leaf)
        self._look(f"log/{month.path}", body)
        block = read_body(leaf, body)
        self.entries[month.stream.value, ACTION] += self._count(month, block.times, block.vias, block.outcomes)

    def _count(self, month: Month, times: list[int], vias: bytes, outcomes: list[str]) -> int:
        if self._begin_ms <= min(times) and max(times) < self._end_ms:
            pairs = Counter(zip(vias, outcomes, strict=True))
        else:
            pairs = Counter(
                (via, outcome) for at, via, outcome in zip(times, vias, outcomes, strict=True)
                if self._begin_ms <= at < self._end_ms
            )  # fmt: skip
        for (via, outcome), count in pairs.items():
            self.resolutions[month.month, via, outcome] += count
        return pairs.total()

    def _entry(self, month: Month, leaf: bytes) -> None:
        """Errors: ValueError, TypeError, KeyError, AttributeError."""
        entry = json.loads(leaf)
        _require_no_address(entry["from"])
        at_ms = parse_instant(entry["t"])
        if at_ms is None:
            raise ValueError("the time is none")
        if self._begin_ms <= at_ms < self._end_ms:
            self.entries[month.stream.value, entry["act"]] += 1

    def document(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "resolutions": [
                {"month": month, "protocol": _protocol(via), "outcome": outcome, "count": count}
                for (month, via, outcome), count in sorted(self.resolutions.items())
            ],
            "entries": [
                {"stream": stream.value, "act": act, "count": count}
                for stream in Stream
                for (of, act), count in sorted(self.entries.items()) if of == stream.value and count
            ],
        }  # fmt: skip


def _protocol(via: int) -> str:
    try:
        return PROTOCOLS[Via(via)]
    except ValueError:
        return str(via)


def _require_no_address(origin: dict[str, Any]) -> None:
    """Errors: ValueError, TypeError, AttributeError."""
    client, network = origin["client"], origin["net"]
    hashed = client is None or _HASH.fullmatch(client)
    wide = network is None or _NETWORK.fullmatch(network)
    if not (hashed and wide and set(origin) == _ORIGIN):
        raise ValueError("a client is told by more than a hash and a network")
