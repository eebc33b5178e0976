"""A registrar on a store, and the people who ask it: what tests of governance begin with."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.admission import Identity
from core.changes import ChangeKind, Serial, unpack_change
from core.clock import Millis
from core.ident.handle import HandleRules
from core.keyring import KeyRing
from core.party.seal import NONCE_BYTES
from core.records import HandleValue, Values
from core.signature import Signer
from core.store.application_rows import Application, unpack_application
from core.store.engine import Engine, Table
from core.store.journal_rows import Entry, unpack_entry
from core.store.log_rows import LogRow
from core.store.memory_engine import MemoryEngine
from core.store.party_rows import PartyRow, unpack_party
from core.store.record_rows import record_key, unpack_values
from core.wire.valuetypes import HS_SITE
from node.lot_keys import LotKeys
from registry.commands import (
    OPERATOR,
    Actor,
    AddParty,
    ApplyPrefix,
    Command,
    Home,
    IssueBearer,
    Request,
    Result,
    ReviewPrefix,
    Token,
    VerifyParty,
)
from registry.desk import Seals
from registry.policy import DEFAULT_POLICY, Policy
from registry.service import Registry
from registry.verification import METHODS
from tests.kit.logs import log_rows

NOW = Millis(1_700_000_000_000)
DAY_MS = 86_400_000
RULES = HandleRules()
OWN = "88.118"
ADMIN = Identity("0.NA/88.118", 300)
ADMINS = frozenset({(RULES.key(ADMIN.handle), 300)})
ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
EVIDENCE = hashlib.sha256(b"a scan").digest()
SEALS = Seals(lambda: KeyRing(1, {1: bytes(range(32))}), lambda: os.urandom(NONCE_BYTES))
LOT_RING = KeyRing(1, {1: bytes(range(100, 132))})
LOT_KEYS = LotKeys(lambda: LOT_RING, time.monotonic)
SITE = b'{"site": "of tests"}'
INCIDENT = json.dumps(
    {"title": "解析中断", "description": "主机断电", "kind": "system", "severity": "major",
     "occurred": "2023-11-14T00:00Z"},
    ensure_ascii=False,
).encode()  # fmt: skip
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def form(number: int = 0, **changes: object) -> bytes:
    """Return the form of a party of the sample, with other values."""
    return json.dumps({**ROWS[number], **changes}, ensure_ascii=False).encode()


def person(name: str, uid: int = 1_000) -> Actor:
    """Return somebody at this machine."""
    return Actor(local=True, name=name, uid=uid)


ANNA, BEN, CARLA, DORA = (person(name, 1_000 + uid) for uid, name in enumerate(("anna", "ben", "carla", "dora")))
"""Anna files. Ben, Carla and Dora review."""


@contextmanager
def plain_sites() -> Iterator[None]:
    """Take any octets as the service sites of a delegated prefix: what they say is tested elsewhere."""
    values = (HandleValue(1, HS_SITE, b"site"),)
    with (
        mock.patch("registry.prefixes.read_sites", lambda _: ()),
        mock.patch("registry.prefixes.site_faults", lambda *_: []),
        mock.patch("registry.prefixes.site_values", lambda *_: values),
    ):
        yield


class Office:
    """A registrar whose node holds 88.118 by itself."""

    def __init__(self, store: Engine | None = None, policy: Policy = DEFAULT_POLICY, **options: Any) -> None:
        self.store: Engine = MemoryEngine() if store is None else store
        self.now = NOW
        founding = Registry(self.store, RULES, founding=True)
        founding.run([Request(Home(OWN), OPERATOR)], NOW)
        self.registry = Registry(
            self.store, RULES, server_admins=ADMINS, seals=SEALS, policy=policy,
            **{"methods": dict(METHODS), "load_signer": lambda: SIGNER, "lot_keys": LOT_KEYS, **options},
        )  # fmt: skip

    # --- asking
    def run(
        self, *commands: Command, actor: Actor = ANNA, token: Token | None = None, dry_run: bool = False
    ) -> list[Result]:
        """Have one group run, a second after the one before."""
        self.now = Millis(self.now + 1_000)
        return self.registry.run([Request(command, actor, token, dry_run) for command in commands], self.now)

    def ask(self, command: Command, actor: Actor = ANNA) -> Result:
        """Have one command run."""
        return self.run(command, actor=actor)[0]

    def do(self, command: Command, actor: Actor = ANNA) -> Any:
        """Have one command done; return the JSON of its answer."""
        result = self.ask(command, actor)
        assert result.done, result
        return json.loads(result.body) if result.body else None

    # --- what most tests begin with
    def party(self, number: int = 0, actor: Actor = ANNA, **changes: object) -> str:
        """File a party of the sample."""
        return str(self.do(AddParty(form(number, **changes)), actor)["party"])

    def verified(self, number: int = 0) -> str:
        """File a party, and have it verified by two reviewers."""
        name = self.party(number)
        for reviewer in (BEN, CARLA):
            self.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
        return name

    def allocated(self, prefix: str = "88.118.7", number: int = 0) -> str:
        """Allocate a hosted prefix to a party as the law wants it."""
        name = self.verified(number)
        self.do(ApplyPrefix(prefix, name))
        self.do(ReviewPrefix(prefix, approve=True), BEN)
        return name

    def bearer(self, role: str, holder: str = "hans", party: str = "", days: int = 90) -> tuple[Actor, str]:
        """Issue a token; return who has it, and its text."""
        told = self.do(IssueBearer(role, holder, party, days))
        return Actor(bearer=told["token"]), told["secret"]

    # --- looking
    def rows(self, table: Table) -> dict[str, bytes]:
        """Return the rows of a table whose keys are text."""
        with self.store.snapshot() as snapshot:
            return {key.decode(): row for key, row in snapshot.scan(table, b"")}

    def application(self, prefix: str) -> Application:
        """Return the application for a prefix."""
        return unpack_application(self.rows(Table.APPLICATIONS)[prefix])

    def values(self, handle: str) -> Values:
        """Return the values of a record."""
        with self.store.snapshot() as snapshot:
            row = snapshot.get(Table.RECORDS, record_key(RULES.key(handle)))
        assert row is not None
        return unpack_values(row)

    def party_row(self, name: str) -> PartyRow:
        """Return a party as it is stored."""
        return unpack_party(self.rows(Table.PARTIES)[name])

    def homed(self) -> set[str]:
        """Return the prefixes that the node answers for, and those whose application says that they are allocated."""
        states = ("approved", "national-review", "allocated", "homed", "suspended")
        told = {key: unpack_application(row).state for key, row in self.rows(Table.APPLICATIONS).items()}
        return {*self.rows(Table.PREFIXES), *(key for key, state in told.items() if state in states)}

    def journal(self) -> list[Entry]:
        """Return the journal; its numbers have no gap."""
        with self.store.snapshot() as snapshot:
            rows = list(snapshot.scan(Table.JOURNAL, b""))
        assert [int.from_bytes(key, "big") for key, _ in rows] == list(range(1, len(rows) + 1))
        return [unpack_entry(row) for _, row in rows]

    def log(self) -> list[LogRow]:
        """Return the queue of the log; its numbers have no gap."""
        with self.store.snapshot() as snapshot:
            return log_rows(snapshot)

    def feed(self) -> list[tuple[ChangeKind, str]]:
        """Return kind and identifier of every change."""
        with self.store.snapshot() as snapshot:
            changes = [unpack_change(row) for _, row in snapshot.feed(Serial(0), 100_000)]
        return [(change.kind, change.identifier) for change in changes]

    def dump(self, *without: Table) -> dict[str, dict[bytes, bytes]]:
        """Return all rows of all tables but some; with the journal goes the queue of the log."""
        without = (*without, Table.LOG_QUEUE) if Table.JOURNAL in without else without
        with self.store.snapshot() as snapshot:
            tables = {table.value: dict(snapshot.scan(table, b"")) for table in Table if table not in without}
            tables["changes"] = {b"%d" % serial: row for serial, row in snapshot.feed(Serial(0), 100_000)}
        return tables

    def fork(self) -> Office:
        """Return another one that begins with what this one has; of a store in memory."""
        assert isinstance(self.store, MemoryEngine)
        other = object.__new__(Office)
        other.store, other.now = MemoryEngine(), self.now
        other.store._state = self.store._state  # states are never changed once published
        old = self.registry
        other.registry = Registry(
            other.store, RULES, server_admins=ADMINS, seals=SEALS, policy=old.policy, methods=old.methods,
            founding=old.founding, load_signer=old.load_signer, lot_keys=old.lot_keys,
        )  # fmt: skip
        return other
