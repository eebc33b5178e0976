"""One object, one Answer, under writes and kills: after each change that was acknowledged every way tells the same.

Writers, each with a product, a lot, its bags and records of its own, change them; workers and the registrar are killed
meanwhile. An act whose answer got lost is done again, so how it ended is known.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import dns.message
import dns.query
import dns.rdatatype
import dns.tsig

from core.errors import StoreError
from core.ident.gs1 import check_digit
from core.records import HandleValue
from registry.alias_commands import AddAlias, RemoveAlias
from registry.client import BlockingClient
from registry.commands import (
    OPERATOR,
    Command,
    CreateLot,
    Delete,
    LiftHold,
    PlaceHold,
    Put,
    RecordEvents,
    Request,
    Result,
)
from tests.kit.handle_node import HOST
from tests.kit.names_asked import ORS, Asking, Told, insist, naming
from tests.kit.node import Node, saltern
from tests.kit.worker_kills import ANSWER_S, is_gone

PREFIX: Final = "88.118.7"
UNITS: Final = 1_000
_BAGS: Final = 3
_RECORDS: Final = 3
_ALIASES_MAX: Final = 8
_CERTAIN_S: Final = 30.0
_PAUSE_S: Final = 0.02
_TIME: Final = "2020-01-01T00:00:00Z"
_TSIG: Final = "c2FsdGVybiBzb2FrIGtleSBvZiAzMiBvY3RldHMhISE="
_KEY: Final = dns.tsig.Key("soak.", _TSIG, dns.tsig.HMAC_SHA256)
_ACTS: Final = ("url", "url", "url", "alias", "alias", "alias", "unalias", "hold", "lift", "delete", "scrap")


class Endured(NamedTuple):
    """What was done and asked. ``acts``: acknowledged ones by kind; ``killed``: processes by kind.

    ``transfers``: of the zone under these writes; ``names``: of these that were then asked for, at the same serial.
    """

    objects: int
    acts: Counter[str]
    asked: int
    killed: Counter[str]
    transfers: int
    names: int


def settings(folder: Path) -> dict[str, object]:
    """Return the settings of a node for this, and write its key of transfers."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "soak.keys"
    file.write_text(f"soak hmac-sha256 {_TSIG}\n")
    file.chmod(0o600)
    return {"dns__tsig_file": str(file), "node__public_url": "http://id.example.cn", "resolver__workers": 2}


def endure_changes(node: Node, writers: int, acts: int, chance: random.Random, kill_every_s: float = 0.3) -> Endured:
    """Do so many acts by each writer, and look at each object after each change of it. Errors: AssertionError."""
    stop = threading.Event()
    families = [_Writer(node, number, acts, chance.randrange(2**32)) for number in range(1, writers + 1)]
    killer = _Killer(node, stop, chance.randrange(2**32), kill_every_s)
    transfers = _Transfers(node, stop, chance.randrange(2**32))
    others: list[_Thread] = [killer, transfers]
    for thread in (*families, *others):
        thread.start()
    for family in families:
        family.join()
    stop.set()
    for each in others:
        each.join(2 * _CERTAIN_S)
    failures = [thread.failure for thread in (*families, *others) if thread.failure]
    assert not failures, "\n".join(failures)
    for family in families:
        family.check_all()
    transfers.compare(everything=True)
    assert transfers.compared, "no transfer could be compared"
    total = sum((family.done for family in families), Counter[str]())
    return Endured(
        sum(len(family.things) for family in families), total, sum(family.asking.asked for family in families),
        killer.killed, transfers.count, transfers.compared,
    )  # fmt: skip


class _Thread(threading.Thread):
    """Says why it ended. ``failure``: None where it did well."""

    failure: str | None = None

    def run(self) -> None:
        try:
            self.work()
        except Exception:
            self.failure = f"{self.name}: {traceback.format_exc()}"

    def work(self) -> None:
        raise NotImplementedError


# --- who writes ---------------------------------------------------------------


class _Thing:
    """An object, as its last acknowledged change left it. ``url``: None where there is none."""

    def __init__(self, handle: str, kind: str, url: str | None = None) -> None:
        self.handle = handle
        self.kind = kind
        self.url = url
        self.ending = "ok" if kind != "record" else "none"
        self.aliases: list[str] = []


class _Writer(_Thread):
    """Owns its objects, so that nobody else changes what it looks at."""

    def __init__(self, node: Node, number: int, acts: int, seed: int) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.asking = Asking(node)
        self.done: Counter[str] = Counter()
        self.things: list[_Thing] = []
        self._node = node
        self._number = number
        self._acts = acts
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)
        self._desk = _Desk(node)
        self._away: list[tuple[str, str]] = []
        self._furnish()

    def _furnish(self) -> None:
        self._product = _Thing(f"{PREFIX}/P{self._number}", "product")
        self._put(self._product)
        self._gtin = self._digits(14, "0")
        lot = _Thing(f"{PREFIX}/L{self._number}X", "lot")
        form = {"lot": lot.handle, "product": self._product.handle, "count": UNITS, "produced": "2026-07-14"}
        self._desk.do(CreateLot(json.dumps(form).encode()))
        self._lot = lot
        self._desk.do(AddAlias(self._product.handle, f"gtin:{self._gtin}"))
        self._product.aliases.append(f"gtin:{self._gtin}")
        options = ("--from", "0", "--count", str(UNITS), "--config", str(self._node.config))
        lines = saltern("lot", "codes", lot.handle, *options).stdout.splitlines()
        self._codes = [json.loads(line)["identifier"] for line in lines]
        self._chance.shuffle(self._codes)
        records = [_Thing(f"{PREFIX}/R{self._number}-{each}", "record") for each in range(_RECORDS)]
        self.things = [self._product, lot, *records, *(self._new_bag() for _ in range(_BAGS))]

    def _new_bag(self) -> _Thing:
        return _Thing(self._codes.pop(), "bag")

    def work(self) -> None:
        for _ in range(self._acts):
            thing = self._chance.choice(self.things)
            act = self._chance.choice(_ACTS)
            done = _DO[act](self, thing)
            if done:
                self.done[act] += 1
                with naming((act, thing.handle, thing.ending, thing.aliases)):
                    self._check(thing)
                    self._check(self._chance.choice(self.things))

    # --- looking
    def check_all(self) -> None:
        for thing in self.things:
            self._check(thing)

    def _check(self, thing: _Thing) -> None:
        _, told = self.asking.by_name(thing.handle)
        assert told.ending == thing.ending, (thing.handle, told, thing.ending)
        if told.ending == "ok":
            assert told.url == (thing.url or self._product.url), thing.handle
        self.asking.assert_one(thing.handle, told, thing.aliases, self._by_rule(thing))
        for alias, handle in self._away[-2:]:
            self.asking.assert_alias(alias, handle, Told("none"))

    def _by_rule(self, thing: _Thing) -> list[str]:
        if thing.kind not in ("lot", "bag"):
            return []
        suffix = thing.handle.partition("/")[2]
        if thing.kind == "lot":
            return [f"/01/{self._gtin}/10/{suffix}"]
        lot = self._lot.handle.partition("/")[2]
        return [f"/01/{self._gtin}/21/{suffix}", f"/01/{self._gtin}/10/{lot}/21/{suffix}"]

    # --- changing
    def url(self, thing: _Thing) -> bool:
        if thing.kind not in ("product", "record") or thing.ending == "held":
            return False
        self._put(thing)
        return True

    def _put(self, thing: _Thing) -> None:
        url = f"https://example.cn/{self._number}/{next(self._numbers)}"
        values = HandleValue(1, "URL", url.encode(), ttl=86_400), HandleValue(2, "DESC", "食盐".encode(), ttl=300)
        self._desk.do(Put(thing.handle, values, overwrite=True))
        thing.url, thing.ending = url, "ok"

    def alias(self, thing: _Thing) -> bool:
        if thing.ending != "ok" or len(thing.aliases) >= _ALIASES_MAX:
            return False
        alias = self._new_alias(thing)
        self._desk.do(AddAlias(thing.handle, alias))
        thing.aliases.append(alias)
        return True

    def _new_alias(self, thing: _Thing) -> str:
        number = f"{self._number}{next(self._numbers)}"
        kinds = ["oid", "oid", "oid", "gln", "sscc", "ecode", "bid", "vaa"]
        if thing.kind in ("product", "record"):
            kinds.append("gtin")
        if thing.kind in ("lot", "bag"):
            kinds += ["below"] * 3
        below = "lot" if thing.kind == "lot" else "serial"
        return {
            "oid": f"oid:1.2.156.99999.{self._number}.{number}",
            "gln": f"gln:{self._digits(13, '69')}",
            "sscc": f"sscc:{self._digits(18, '06')}",
            "ecode": f"ecode:10064567890{number}",
            "bid": f"bid:did:bid:ef2AuAJid{number}",
            "vaa": f"vaa:VAA{number}",
            "gtin": f"gtin:{self._digits(14, '0')}",
            "below": f"gtin+{below}:{self._gtin}/N{number}",
        }[self._chance.choice(kinds)]

    def _digits(self, size: int, first: str) -> str:
        digits = f"{first}{self._number}{next(self._numbers):0{size - len(first) - 2}}"
        return digits + check_digit(digits)

    def unalias(self, thing: _Thing) -> bool:
        named = [each for each in thing.aliases if each != f"gtin:{self._gtin}"]  # that one makes links by rule
        if thing.ending == "held" or not named:
            return False
        alias = self._chance.choice(named)
        self._desk.do(RemoveAlias(alias))
        thing.aliases.remove(alias)
        if "+" not in alias:  # below a GTIN it leads to the product now
            self._away.append((alias, thing.handle))
        return True

    def hold(self, thing: _Thing) -> bool:
        if thing.ending != "ok" or thing.kind not in ("record", "bag"):
            return False
        self._desk.do(PlaceHold(thing.handle, "文1号", "查处"))
        thing.ending = "held"
        return True

    def lift(self, thing: _Thing) -> bool:
        if thing.ending != "held":
            return False
        self._desk.do(LiftHold(thing.handle, "文1号"))
        thing.ending = "ok"
        return True

    def delete(self, thing: _Thing) -> bool:
        if thing.kind != "record" or thing.ending != "ok":
            return False
        self._desk.do(Delete(thing.handle))
        thing.ending = "none"
        self._away += [(alias, thing.handle) for alias in thing.aliases]
        thing.aliases.clear()
        return True

    def scrap(self, thing: _Thing) -> bool:
        """Scrap a bag; another one takes its place soon."""
        if thing.kind != "bag" or thing.ending == "held":
            return False
        if thing.ending == "gone":
            self.things[self.things.index(thing)] = self._new_bag()
            return True
        event = {"event": "scrapped", "identifier": thing.handle, "time": _TIME}
        self._desk.do(RecordEvents(self._lot.handle, json.dumps([event]).encode(), lines=False))
        thing.ending = "gone"
        return True


_DO: Final = {name: getattr(_Writer, name) for name in _ACTS}


class _Desk:
    """A way to the registrar, which may be killed at any moment."""

    def __init__(self, node: Node) -> None:
        self._folder = node.folder / "data" / "run"
        self._client: BlockingClient | None = None

    def do(self, command: Command) -> Any:
        """Have a command done, again where the answer got lost. Errors: AssertionError where it is refused."""
        end, lost = time.monotonic() + _CERTAIN_S, False
        while True:
            try:
                result = self._call(command)
            except (OSError, StoreError) as error:
                assert time.monotonic() < end, error
                self._client, lost = None, True
                continue
            assert result.done or lost, (command, result)  # what was done before its answer got lost may be refused now
            return result

    def _call(self, command: Command) -> Result:
        if self._client is None:
            self._client = BlockingClient(self._folder)
        return self._client.call(Request(command, OPERATOR))


# --- who kills ----------------------------------------------------------------


class _Killer(_Thread):
    """Kills a worker or the registrar, waits until another one is there, and does it again."""

    def __init__(self, node: Node, stop: threading.Event, seed: int, every_s: float) -> None:
        super().__init__(name="killer", daemon=True)
        self.killed: Counter[str] = Counter()
        self._node = node
        self._halt = stop
        self._chance = random.Random(seed)
        self._every_s = every_s

    def work(self) -> None:
        while not self._halt.wait(self._chance.uniform(0.2, 1.8) * self._every_s):
            children = self._node.children()
            name = self._chance.choice(sorted(each for each in children if each.startswith(("worker", "registrar"))))
            os.kill(children[name], signal.SIGKILL)
            self.killed[name.partition("-")[0]] += 1
            end = time.monotonic() + 2 * ANSWER_S
            while not is_gone(children[name]) or len(self._node.children()) < len(children):
                assert time.monotonic() < end, f"{name} is not started again"
                self._halt.wait(0.01)


# --- who takes the zone -------------------------------------------------------


class _Transfers(_Thread):
    """Takes the zone of OIDs again and again; where its serial still stands, answers must say the same."""

    def __init__(self, node: Node, stop: threading.Event, seed: int) -> None:
        super().__init__(name="transfers", daemon=True)
        self.count = 0
        self.compared = 0
        self._asking = Asking(node)
        self._node = node
        self._halt = stop
        self._chance = random.Random(seed)
        self._last: tuple[int, dict[str, set[str]]] = (0, {})

    def work(self) -> None:
        while not self._halt.wait(_PAUSE_S):
            self.compare()

    def compare(self, *, everything: bool = False) -> None:
        """Take it, and ask for some of its names or for all, and for as many that it does not have."""
        serial, zone = insist(self._transfer)
        self.count += 1
        if serial == self._last[0]:
            assert zone == self._last[1], f"two transfers of serial {serial} differ"
        assert serial >= self._last[0]
        before, self._last = self._last[1], (serial, zone)
        names = sorted(zone) if everything else self._chance.sample(sorted(zone), min(5, len(zone)))
        for name in [*names, *sorted(set(before) - set(zone))[:5]]:
            answers = [_records(each) for each in self._asking.records(name)]
            if self._serial() != serial:
                return
            assert answers == [zone.get(name, set())] * 2, (serial, name, answers, zone.get(name))
            self.compared += 1

    def _transfer(self) -> tuple[int, dict[str, set[str]]]:
        serial, found = 0, dict[str, set[str]]()
        for message in dns.query.xfr(
            HOST, ORS, port=self._node.ready["dns"], keyring={_KEY.name: _KEY}, keyname=_KEY.name,
            keyalgorithm=_KEY.algorithm, relativize=False, timeout=5, lifetime=ANSWER_S,
        ):  # fmt: skip
            for rrset in message.answer:
                if rrset.rdtype == dns.rdatatype.SOA:
                    serial = rrset[0].serial
                if rrset.rdtype == dns.rdatatype.NAPTR:
                    found.setdefault(rrset.name.to_text(True), set()).update(each.to_text() for each in rrset)
        return serial, found

    def _serial(self) -> int:
        answer, _ = self._asking.records(ORS, "SOA")
        return int(answer.answer[0][0].serial)


def _records(answer: dns.message.Message) -> set[str]:
    return {each.to_text() for rrset in answer.answer for each in rrset}
