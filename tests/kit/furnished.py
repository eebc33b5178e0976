"""A node with something of every kind in it, and changes of all of it: what deposits have to carry."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from core.config import Config
from core.lotkeys import codes_of_lot
from core.records import HandleValue
from core.store.engine import Snapshot, Table
from core.store.lot_rows import unpack_lot
from node import wiring
from registry.alias_commands import AddAlias
from registry.client import BlockingClient
from registry.commands import (
    Actor,
    AddParty,
    AddTemplate,
    ApplyPrefix,
    Command,
    CreateLot,
    Delete,
    LiftHold,
    MovePrefix,
    PlaceHold,
    PublishTemplate,
    Put,
    PutBatch,
    RecordEvents,
    Request,
    Result,
    ReviewPrefix,
    VerifyParty,
    WithdrawTemplate,
)
from tests.kit.governance import ANNA, BEN, CARLA, form
from tests.kit.templates import CODE, bound, template_form

OWN: Final = "88.118"
HOSTED, STOPPED, HELD, DELEGATED, LATE = (f"{OWN}.{number}" for number in (1, 2, 3, 4, 5))
LOTS: Final = tuple(f"{prefix}/LOT{number}" for number, prefix in enumerate((OWN, OWN, HOSTED, STOPPED, HELD)))
LATE_LOT: Final = f"{OWN}/LATE"
UNITS: Final = 4_000
CASE: Final = 10
PALLET: Final = 20
_CASES: Final = UNITS // CASE
_LOT: Final = "gtin+lot:6901234567892/LOT0"
_TIME: Final = "2020-01-01T00:00:00Z"
_EVIDENCE: Final = hashlib.sha256(b"a scan").digest()
_NAMESPACE: Final = (
    b'<template delimiter="-"><foreach><if value="type" test="equals" expression="URL">'
    b'<value index="1" type="URL" data="${data}/${extension}"/></if></foreach></template>'
)
_SITE: Final = {
    "version": 1, "protocolVersion": "2.11", "serialNumber": 1, "primarySite": True, "multiPrimary": False,
    "attributes": [], "servers": [{
        "serverId": 1, "address": "192.0.2.7", "publicKey": None,
        "interfaces": [
            {"query": True, "admin": False, "protocol": "TCP", "port": 2641},
            {"query": True, "admin": False, "protocol": "UDP", "port": 2641},
            {"query": True, "admin": False, "protocol": "HTTP", "port": 8000},
        ],
    }],
}  # fmt: skip

Run = Callable[[Request], Result]


def allow_site(file: Path) -> None:
    """Have a node take the site of the delegated prefix, which lies in a network for documentation."""
    with file.open("a", encoding="utf-8") as text:
        text.write('\n[prefix]\nsite_networks = ["192.0.2.0/24"]\n')


def url(text: str) -> HandleValue:
    return HandleValue(1, "URL", text.encode(), ttl=86_400)


class Furnishing:
    """Registers things in a node. ``run``: of the registrar, in process or by its socket."""

    def __init__(self, run: Run, records: int) -> None:
        self._run = run
        self._records = records

    def do(self, command: Command, actor: Actor = ANNA) -> Any:
        """Have a command done; return the JSON of its answer. Errors: AssertionError."""
        result = self._run(Request(command, actor))
        assert result.done, (command, result)
        return json.loads(result.body) if result.body else None

    # --- all kinds
    def fill(self) -> None:
        """Register everything: prefixes in every state, records, lots with their events, templates, holds."""
        party = self._prefixes()
        self.do(AddTemplate(template_form()))
        self.do(PublishTemplate(CODE))
        self._kinds()
        for prefix in (OWN, HOSTED, STOPPED, HELD):
            self._put(f"{prefix}/R{number}" for number in range(self._records // 4))
        for lot in LOTS:
            self._lot(lot)
        for target, name in ((f"{OWN}/KINDS", "gtin:6901234567892"), (f"{OWN}/R100", "oid:1.2.156.1"), (LOTS[0], _LOT)):
            self.do(AddAlias(target, name))
        self.do(MovePrefix(STOPPED, "suspend", "停业", _EVIDENCE))
        for target in (f"{OWN}/R1", f"{OWN}/R2", HELD, f"{OWN}/LOT1"):
            self.do(PlaceHold(target, "文1号", "查处", public=target == HELD))
        assert party

    def change(self, number: int) -> None:
        """Change something of every kind, another in each round: new, replaced, gone, moved, held, let go."""
        some = range(number * 20, number * 20 + 20)
        self._put((f"{OWN}/NEW{number}-{at}" for at in range(200)), f"new {number}")
        self._put((f"{HOSTED}/R{at}" for at in some), f"again {number}")
        for at in some:
            self.do(Delete(f"{OWN}/R{at + 100}"))
        self.do(AddAlias(f"{OWN}/NEW{number}-1", f"oid:1.2.156.2.{number}"))
        lot = f"{LATE_LOT}{number}"
        self._lot(lot)
        self.events(LOTS[0], [
            {"event": "scrapped", "from": 1_000 + 100 * number, "count": 5, "time": _TIME},
            {"event": "commissioned", "from": 1_200 + 100 * number, "count": 50, "time": _TIME},
        ])  # fmt: skip
        self.do(PlaceHold(f"{OWN}/R{number + 10}", f"文{number}1号", "查处"))
        if number == 1:
            self.do(LiftHold(f"{OWN}/R1", "文9号"))
            self.do(PlaceHold(f"{LATE_LOT}1", "文12号", "查处"))
            self._prefix(LATE, 4)
            self.do(Put(f"{LATE}/A", (url("https://late.example"),)))
        else:
            self.do(MovePrefix(STOPPED, "resume", "复业", _EVIDENCE))
            self.do(MovePrefix(HOSTED, "suspend", "停业", _EVIDENCE))
            self.do(WithdrawTemplate(CODE))
            self.do(Delete(f"{OWN}/GONE"))
            self.do(Put(f"{OWN}/KINDS", (url("https://second.example"),), overwrite=True))

    def replace(self, handle: str, text: str) -> None:
        """Give a record another URL."""
        self.do(Put(handle, (url(text),), overwrite=True))

    def events(self, lot: str, events: list[dict[str, object]]) -> None:
        """Record events of a lot, each of which is taken."""
        told = self.do(RecordEvents(lot, json.dumps(events).encode(), lines=False))
        assert told["counts"] == {"ok": len(events)}, told

    # --- pieces
    def _prefixes(self) -> str:
        first = self._prefix(HOSTED, 0)
        for number, prefix in enumerate((STOPPED, HELD), start=1):
            self._prefix(prefix, number)
        self._prefix(DELEGATED, 3, "delegated")
        return first

    def _prefix(self, prefix: str, number: int, hosting: str = "hosted") -> str:
        name = str(self.do(AddParty(form(number)))["party"])
        for reviewer in (BEN, CARLA):
            self.do(VerifyParty(name, "manual", _EVIDENCE), reviewer)
        site = json.dumps(_SITE).encode() if hosting == "delegated" else b""
        self.do(ApplyPrefix(prefix, name, hosting, site))
        self.do(ReviewPrefix(prefix, approve=True), BEN)
        return name

    def _kinds(self) -> None:
        hidden = HandleValue(2, "NOTE", b"inner", ttl=86_400, permissions=0b1100)
        secret = HandleValue(3, "HS_SECKEY", b"a secret", ttl=86_400, permissions=0b1100)
        admin = HandleValue(100, "HS_ADMIN", b"\x0f\xff\0\0\0\x0b0.NA/88.118\0\0\1\x2c", ttl=86_400)
        for name, values in {
            "KINDS": (url("https://first.example"), hidden, admin),
            "HIDDEN": (hidden,),
            "SECRET": (secret, url("https://secret.example")),
            "EMPTY": (),
            "LONG": (url("https://long.example"), *(HandleValue(10 + at, "DESC", b"x" * 900) for at in range(20))),
            "BYTES": (HandleValue(1, "DATA", bytes(range(256))),),
            "GONE": (url("https://gone.example"),),
            "盐/袋": (url("https://salt.example"), HandleValue(2, "DESC", "食盐".encode())),
            "T": (HandleValue(1, "URL", b"https://t.example"), HandleValue(2, "HS_NAMESPACE", _NAMESPACE)),
            "BOUND": bound(),
        }.items():
            self.do(Put(f"{OWN}/{name}", values))

    def _put(self, names: Iterator[str], text: str = "first") -> None:
        items = [
            {
                "handle": name,
                "values": [
                    {"index": 1, "type": "URL", "data": f"https://e.example/{name}"},
                    {"index": 2, "type": "DESC", "data": text},
                ],
            }
            for name in names
        ]
        for at in range(0, len(items), 1_000):
            told = self.do(PutBatch(json.dumps(items[at : at + 1_000]).encode(), lines=False))
            assert {each["outcome"] for each in told["results"]} <= {"ok", "created"}, told

    def _lot(self, lot: str) -> None:
        members = {
            "lot": lot, "product": f"{OWN}/KINDS", "count": UNITS, "units_per_case": CASE, "cases_per_pallet": PALLET,
            "produced": "2026-10-01", "valid_until": "2029-10-01",
            "values": [{"index": 7, "type": "DESC", "data": f"批次 {lot}"}],
        }  # fmt: skip
        self.do(CreateLot(json.dumps(members).encode()))
        self.events(lot, [
            {"event": "commissioned", "from": 0, "count": 500, "time": _TIME},
            {"event": "scrapped", "from": 500, "count": 7, "time": _TIME},
            {"event": "commissioned", "from": UNITS, "count": _CASES, "time": _TIME},
        ])  # fmt: skip


def repack(furnishing: Furnishing, lot: str, name: Callable[[int], str], first: int = 0) -> None:
    """Put two units into another case, and that onto another pallet.

    ``name``: handle of an index. ``first``: one of the units.
    """
    case, pallet = UNITS + 9 + first, UNITS + _CASES + 7
    events: list[dict[str, object]] = [
        {"event": "packed", "identifier": name(each), "time": "2020-01-04T00:00:00Z", "parent": name(parent)}
        for each, parent in ((first, case), (first + 1, case), (case, pallet))
    ]
    furnishing.events(lot, events)


def unit_names(config: Config, snapshot: Snapshot, lot: str) -> Callable[[int], str]:
    """Return what names the units, cases and pallets of a lot by their index."""
    key = lot.encode()
    codes = codes_of_lot(wiring.lot_keys(config), key, unpack_lot(snapshot.get(Table.LOTS, key) or b""))
    return lambda index: lot + codes.serial(index).decode()


def asked(config: Config, chance: random.Random, count: int) -> list[str]:
    """Return names to be asked for, half of them unit codes: of what is there, was there, and never was.

    First those of a kind of their own, each once.
    """
    store = wiring.open_store(config, read_only=True)
    try:
        with store.snapshot() as snapshot:
            records = [key.decode() for key, _ in snapshot.scan(Table.RECORDS, b"")]
            lots = [key.decode() for key, _ in snapshot.scan(Table.LOTS, b"")]
            namers = {lot: unit_names(config, snapshot, lot) for lot in lots}
    finally:
        store.close()
    total = UNITS + _CASES + _CASES // PALLET
    names = [namers[chance.choice(lots)](_index(chance, total)) for _ in range(count // 2)]
    special = [
        *lots, *(namers[LOTS[0]](index) for index in (0, 1, 20, 21, 499, 500, 506, 507, UNITS, UNITS + 9, total - 1)),
        f"{OWN}/GONE", f"{OWN}/T-more", f"{OWN}/none-more", f"{DELEGATED}/A", f"0.NA/{DELEGATED}", f"{LATE}/A",
        *(f"{OWN}/R{number}" for number in range(30)), *(f"{OWN}/R{number}" for number in range(100, 170)),
        f"{OWN}.77/A", f"0.NA/{OWN}.77", f"0.NA/{OWN}", "0.NA/0.NA", "99.1/X", f"{OWN}/{'x' * 300}",
        *(f"{OWN}/{name}" for name in ("KINDS", "HIDDEN", "SECRET", "EMPTY", "LONG", "BYTES", "BOUND", "盐/袋")),
        *(record for record in records if record.startswith("0.NA/")),
    ]  # fmt: skip
    while len(names) < count - len(special):
        name = chance.choice(records)
        names.append(name if chance.random() < 0.9 else f"{name}{chance.choice('ABC-')}")
    names = [name if chance.random() < 0.9 else name.lower() for name in names]
    chance.shuffle(names)
    return special + names


def _index(chance: random.Random, total: int) -> int:
    """Return an index of a lot; of those with a life of their own one in two."""
    if chance.random() < 0.5:
        return chance.choice((*range(8), *range(490, 510), *range(1_100, 1_110), *range(UNITS, UNITS + 12)))
    return chance.randrange(total)


def by_socket(config: Config) -> BlockingClient:
    """Return a way to the registrar of a running node."""
    return BlockingClient(wiring.run_folder(config))
