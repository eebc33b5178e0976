"""What lets the top node stand in for a node: its copies, answers from them, emergency registration, the hand-back.

Here the objects of it meet. Deposits are applied in a thread of their own (``node/topnode_deposits.py``); those that
came while a takeover was on wait, and are looked at again when none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from core import clock, limits
from core.clock import Millis
from core.config import Config
from core.guard import Guard
from core.source_limit import SourceLimit
from node.emergency_desk import EmergencyDesk
from node.emergency_tokens import EmergencyTokens
from node.topnode_copies import Copies, WaitingError
from node.topnode_deposits import DepositJudge, deposit_takers
from node.topnode_emergency import EmergencyFront
from node.topnode_serving import Serving
from node.topnode_settings import topnode_data
from resolver.failures import LoginFailures
from resolver.ratelimit import Network, RateLimit, shared_table
from sync import messages
from sync.escrow.sealing import load_opener
from sync.topnode.desk import Taker
from sync.topnode.handing import Handing, Takeovers, takeover_of
from sync.topnode.referral import Server
from sync.topnode.rows import Node
from sync.topnode.store import TopStore

_RETRY_S: Final = -(-limits.EMERGENCY_WINDOW_S // limits.EMERGENCY_REQUESTS)


class Standin:
    """All of it. ``own``: address and ports that clients are sent to. Errors: ConfigError for a key that is none."""

    def __init__(self, config: Config, store: TopStore, takeovers: Takeovers, exempt: tuple[Network, ...]) -> None:
        data = topnode_data(config)
        path = config.file("escrow.key")
        opener = None if path is None or not path.exists() else load_opener(path)
        self._waits = False
        self._store = store
        self._takeovers = takeovers
        self.copies = Copies(data, opener, lambda node_id: takeover_of(takeovers, node_id) is not None)
        self.judge = None if opener is None else DepositJudge(data, opener, self._take)
        self._desk = EmergencyDesk(
            takeovers, self.copies, EmergencyTokens(data),
            Guard(LoginFailures(shared_table(), clock.monotonic_ns)), clock.now_ms,
        )  # fmt: skip
        rate = RateLimit(
            limits.EMERGENCY_REQUESTS, shared_table(), exempt, clock.monotonic_ns, window_s=limits.EMERGENCY_WINDOW_S
        )
        self._limit = SourceLimit(rate.admits, _RETRY_S)
        self._handing = Handing(takeovers, self.copies)

    @property
    def takers(self) -> Mapping[type, Taker]:
        """What answers the messages about deposits and hand-backs."""
        return {**deposit_takers(self.judge), messages.HandBack: self._hand}

    def start(self) -> None:
        """Begin with the deposits that wait."""
        if self.judge is not None:
            self.judge.start()

    def serving(self, own: Server, owner_of: Callable[[bytes], str | None]) -> Serving:
        """Return what answers from copies."""
        return Serving(self._takeovers, self.copies, own, owner_of)

    def front(self, serving: Serving, thread: ThreadPoolExecutor) -> EmergencyFront:
        """Return what carries emergency registration over HTTP."""
        return EmergencyFront(
            self._desk, self._store, self.copies, serving, thread, limit=self._limit, now_ms=clock.now_ms
        )

    def close(self) -> None:
        """End it."""
        if self.judge is not None:
            self.judge.close()
        self.copies.close()

    def _take(self, node_id: str, deposit: Path) -> None:
        try:
            self.copies.take(node_id, deposit)
        except WaitingError:
            self._waits = True
            raise

    def _hand(self, node: Node, question: Any, now_ms: Millis) -> messages.Handed:
        answer = self._handing.hand(node, question, now_ms)
        if answer.over and self._waits:
            self._waits = False
            self.start()
        return answer
