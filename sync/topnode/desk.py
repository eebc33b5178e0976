"""What the reference top node does with a message: sans-IO, one write transaction each, durable before the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.clock import Millis
from core.signature import Signer, key_id
from sync import messages
from sync.table import TableKind
from sync.topnode.rows import Node
from sync.topnode.store import TopStore

Check = Callable[[str, bytes, bytes], list[tuple[str, str, str]]]
Taker = Callable[[Node, Any, Millis], messages.Answer]


class TopDesk:
    """Answers nodes. ``takers``: what answers Checkpoint, Month and MonthFile; each after its number was taken."""

    def __init__(
        self, store: TopStore, signer: Signer, name: str, *, enrol_open: bool, review: str, check: Check,
        tables: Mapping[str, TableKind], takers: Mapping[type, Taker] | None = None,
        refuse: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        self.key_id = key_id(signer.public_key)

    def answer(self, octets: bytes, now_ms: Millis) -> bytes:
        """Return the sealed answer. Errors: WireError where nobody may be answered; StoreError."""
        raise NotImplementedError
