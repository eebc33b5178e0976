"""A node and a top node in one process: the node's registrar and courier, the top node's desk, and a bad line between.

Everything is real but the socket: a message is sealed, carried, opened and applied to the top node's LMDB store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.clock import Millis
from core.signature import Signer, key_id
from core.store.engine import Engine
from core.store.upstream_rows import TableState
from sync.courier import Courier, Done
from sync.link import Link, RefusalError, UpstreamError
from sync.messages import Connect
from sync.reconcile import Comparison, compare
from sync.source import Source
from sync.sources.events import EventSource
from sync.sources.identifiers import IdentifierSource
from sync.sources.overview import ApplicationsFile, Overview
from sync.sources.routes import Address, RouteSource
from sync.sources.statistics import StatisticsSource
from sync.sources.subject import OperatorParty, Parties
from sync.sources.templates import TemplateSource
from sync.standing import table_state
from sync.tables import TABLES, check_row
from sync.topnode.desk import TopDesk
from sync.topnode.misbehave import Misbehaviour, Plan
from sync.topnode.store import TopStore
from tests.kit.governance import SEALS

STORE_KEY = bytes(range(32))
HERE = (Address("IPv4", "192.0.2.1", 2641, 2641, 8000),)


def check(table: str, key: bytes, row: bytes) -> list[tuple[str, str, str]]:
    """Judge a row as the top node does."""
    return [(each.rule, each.zh, each.en) for each in check_row(TABLES[table], key, row)]


def sources(
    *, addresses: tuple[Address, ...] = HERE, applications: Path | None = None, operator: str = ""
) -> dict[str, Source]:
    """Return the sources of all tables."""
    file = ApplicationsFile(applications)
    made: tuple[Source, ...] = (
        OperatorParty(SEALS.load_keys, operator, {}),
        RouteSource(TABLES["T2"], addresses, own=True),
        StatisticsSource(TABLES["T3"]),
        TemplateSource(TABLES["T4"], own=True),
        Overview(TABLES["T5"], file),
        Parties(SEALS.load_keys),
        RouteSource(TABLES["T7"], addresses, own=False),
        StatisticsSource(TABLES["T8"]),
        IdentifierSource(TABLES["T9"]),
        Overview(TABLES["T10"], file),
        TemplateSource(TABLES["T11"], own=False),
        StatisticsSource(TABLES["T12"]),
        EventSource(),
    )
    return {source.table.name: source for source in made}


class Top:
    """A top node, which can be away, lose its store, be closed and opened again."""

    def __init__(self, folder: Path, *, enrol_open: bool = True, review: str = "automatic") -> None:
        self._folder = folder
        self._options: dict[str, Any] = {"enrol_open": enrol_open, "review": review}
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.refuse: Callable[[], bool] = lambda: False
        self.now = Millis(0)
        self.away = False
        self._open(0)

    def _open(self, number: int) -> None:
        self._number = number
        place = self._folder / f"top-{number}"
        place.mkdir(exist_ok=True)
        self.store = TopStore(place, STORE_KEY, map_size_bytes=1 << 28)
        self.desk = TopDesk(
            self.store,
            self.signer,
            "顶级节点",
            check=check,
            tables=TABLES,
            refuse=lambda: self.refuse(),
            **self._options,
        )

    def restart(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self._open(self._number)

    def lose(self) -> None:
        """Begin with an empty store."""
        self.store.close()
        self._open(self._number + 1)

    def carry(self, octets: bytes) -> bytes:
        """Bring a message, as it is."""
        if self.away:
            raise UpstreamError("away")
        return self.desk.answer(octets, self.now)


class BadLine:
    """A line that does to messages what the top node does when it is told to misbehave."""

    def __init__(self, top: Top, chance: random.Random, spec: str = "") -> None:
        self._top = top
        self._chance = chance
        self._held: list[bytes] = []
        self.spec(spec)

    def spec(self, text: str) -> None:
        """Be as bad as this from now on; empty: be good."""
        self._bad = Misbehaviour(text, self._chance) if text else None
        self._top.refuse = self._bad.refuses if self._bad is not None else lambda: False

    def __call__(self, octets: bytes) -> bytes:
        """Carry a message."""
        plan = Plan() if self._bad is None else self._bad.plan()
        if plan.hold:
            self._held.append(octets)
            raise UpstreamError("held")
        if plan.drop_before or plan.error_before:
            raise UpstreamError("lost on the way there")
        answers = [self._top.carry(octets) for _ in range(1 + plan.twice)]
        for late in self._held:
            self._top.carry(late)
        self._held.clear()
        if plan.drop_after or plan.error_after:
            raise UpstreamError("lost on the way back")
        return plan.truncated(answers[plan.second])


class Sending:
    """The sending side of a node. ``carry``: the line; ``chance``: of nothing here, time does not pass."""

    def __init__(
        self,
        store: Engine,
        top: Top,
        carry: Callable[[bytes], bytes],
        made: Mapping[str, Source] | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.store, self.top, self.carry = store, top, carry
        self.sources = dict(made or sources())
        self.signer = signer or Signer(Ed25519PrivateKey.generate())
        self.now = Millis(1_790_000_000_000)
        self.upstream = key_id(top.signer.public_key)
        self.restart()

    def restart(self) -> None:
        """Begin anew, as a process that was killed and started."""
        self.link = Link(self.signer, self.top.signer.public_key, self.carry, lambda: int(self.now) * 1_000)
        hello = Connect("88.118", ("88.118",), "示例盐业", "Saltern", "id.example.cn", "")
        self.courier = Courier(
            self.store, self.upstream, self.link, self.sources, lambda: hello, now_ms=lambda: self.now
        )

    def round(self, *, force: bool = True) -> Done | None:
        """Send what waits; None where it came to nothing."""
        self.now = self.top.now = Millis(self.now + 1_000)
        try:
            return self.courier.round(force=force)
        except (UpstreamError, RefusalError):
            return None

    def settle(self, tries: int = 20) -> None:
        """Send until nothing more waits."""
        for _ in range(tries):
            done = self.round()
            if done is not None and not done.rows and not done.faults:
                return
        raise AssertionError({name: self.state(name) for name in self.sources})

    def state(self, table: str) -> TableState:
        """Return how far a table is."""
        with self.store.snapshot() as snapshot:
            return table_state(snapshot, self.upstream, table)

    def compare(self) -> dict[str, Comparison]:
        """Compare both sides, table by table."""
        with self.store.snapshot() as snapshot:
            return {name: compare(snapshot, source, self.link) for name, source in self.sources.items()}

    def differences(self) -> dict[str, list[tuple[bytes, str]]]:
        """Return what differs, of tables in which something does."""
        return {
            name: [tuple(each) for each in found.differences]
            for name, found in self.compare().items()
            if found.differences
        }

    def history(self) -> list[tuple[int, int, bytes]]:
        """Return the changes of identifiers that the top node has: serial, operation, key."""
        with self.top.store.read() as view:
            told = view.history(key_id(self.signer.public_key), 0, 1_000_000)
        return [(each.serial, int(each.operation), each.key) for each in told]

    def rows_above(self, table: str) -> list[tuple[bytes, bytes]]:
        """Return keys and rows of a table that the top node has."""
        with self.top.store.read() as view:
            return list(view.rows(key_id(self.signer.public_key), TABLES[table], b"", None))
