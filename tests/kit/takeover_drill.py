"""A node is killed; a top node answers and registers for it, and hands back; a client knows the top node alone.

1. The node deposits a FULL and a DIFF, which the top node accepts, and is killed with all its processes.
2. Within three periods of probes a client resolves again, with the answers of before.
3. Records are registered at the top node, which is killed, too, and goes on.
4. The node was written to meanwhile; it starts, is killed once more amid the hand-back, and starts again.
5. The top node refers to it again; both sides are equal, and where both changed a record the node kept its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from core import clock, limits
from core.clock import parse_instant
from core.config import load
from core.signature import key_id
from core.store.handed_rows import handed_state
from tests.kit.answers import WAYS, Answer, Ports, assert_same
from tests.kit.backups import opened
from tests.kit.furnished import DELEGATED, OWN, Furnishing, allow_site, asked, by_socket
from tests.kit.node import Node, Reply, saltern
from tests.kit.stock_client import StockClient
from tests.kit.topnodes import HOST, TopNode

PERIOD_S: Final = 1
_LIMIT_MS: Final = 100
ANSWER_S: Final = _LIMIT_MS * limits.PROBE_LATE / 1_000
_WAIT_S: Final = 60.0
_QUICK: Final = ("udp", "tcp", "http")
_CHANGED, _GONE, _BOTH, _NEW = f"{OWN}/R60", f"{OWN}/R61", f"{OWN}/R62", f"{OWN}/EMERGENCY"
_STRANGER: Final = "127.0.0.2"  # this machine by another address: who fails is counted by it


class Drilled(NamedTuple):
    """What was seen. ``away_s``: from the kill to the first answer; ``decided_s``: to the takeover.

    ``back_s``: from the last start to the hand-back. ``compared``: answers of the top node, by protocol.
    ``taken``: changes handed back, ``amid`` so many when the node was killed.
    """

    away_s: float
    decided_s: float
    back_s: float
    compared: dict[str, int]
    taken: int
    amid: int

    @property
    def periods(self) -> float:
        return self.away_s / PERIOD_S


def until(told: Callable[[], Any], holds: Callable[[Any], bool] = bool, wait_s: float = _WAIT_S) -> Any:
    """Ask until it is so; return what was told then. Errors: AssertionError."""
    end_s = clock.monotonic_s() + wait_s
    found: Any = None
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = told()
            if holds(found):
                return found
        assert clock.monotonic_s() < end_s, found
        clock.pause(0.02)


class Drill:
    """The node and its top node. ``changes``: how many are registered at the top node beside four chosen ones."""

    def __init__(self, folder: Path, chance: random.Random, records: int, changes: int) -> None:
        self.chance, self.records, self.changes = chance, records, changes
        self.top = TopNode(folder / "top", probe__period=PERIOD_S, probe__limit=_LIMIT_MS, probe__probes=2)
        self.node = Node(folder / "node", OWN, monitor__probe_interval=1)
        allow_site(self.node.config)
        with self.node.config.open("a") as text:
            text.write(f'\n[escrow]\nto_key = "{self.top.folder / "keys" / "escrow.pub"}"\n')
        self.config = load(self.node.config)
        self.made = 0
        self.kept = [_BOTH]

    def run(self, names: int, *, rough: bool = False) -> Drilled:
        """Run it all. ``rough``: kill the node a third time, found back and not referred to yet; and have it hang.

        Errors: AssertionError.
        """
        with opened(self.config) as (_, registry):
            Furnishing(lambda request: registry.run([request], clock.now_ms())[0], self.records).fill()
        with self.top, self.node:
            self._stay(self.top), self._stay(self.node)
            self._deposit()
            hosted = [each for each in asked(self.config, self.chance, names) if _is_hosted(each)]
            before = self._answers(self.node, hosted)
            self._client_finds(self.node.ready["handle"])
            assert self._page("GET").status == 410
            token = self._token()
            away_s, decided_s = self._kill()
            self._require(before, self._answers(self.top, hosted))
            self._register(token)
            self.top.stop(signal.SIGKILL)
            self.top.start()
            assert self._state() == "takeover"
            self._client_finds(self.top.ready["handle"])
            self._require_registered(self.top, f"https://top.example/{_BOTH}")
            with opened(self.config) as (_, registry):
                writing = Furnishing(lambda request: registry.run([request], clock.now_ms())[0], 0)
                writing.replace(_BOTH, "https://node.example")
            amid = self._start_and_kill()
            if rough:
                self._kill_returning(token)
            began_s = clock.monotonic_s()
            self.node.start()
            until(self._state, lambda state: state == "normal")
            back_s = clock.monotonic_s() - began_s
            self._client_finds(self.node.ready["handle"])
            self._require_registered(self.node, "https://node.example")
            self._require_equal()
            taken = self.made
            if rough:
                self._hang(token)
                self._require_equal()
                taken += self.made
            self._require_same_by_hand([*hosted, _NEW, _CHANGED, _BOTH, _GONE, *self._more()])
            assert self._page("GET").status == 410
            assert self._put(token, f"{OWN}/LATE", "x").status == 410
            assert "Traceback" not in self.top.log()
        self.node.fsck()
        return Drilled(away_s, decided_s, back_s, dict.fromkeys(_QUICK, len(hosted)), taken, amid)

    # --- the node and the top node
    @staticmethod
    def _stay(process: Node | TopNode) -> None:
        """Have it come back on the same ports."""
        process.settings |= {f"{name}.port": process.ready[name] for name in ("http", "handle")}

    def _deposit(self) -> None:
        """Connect, and deposit a FULL and a DIFF, which are accepted."""
        client = by_socket(self.config)
        changing = Furnishing(client.call, self.records)
        changing.change(1)
        key = str(self.top.folder / "keys" / "top.pub")
        saltern("sync", "connect", "--url", self.top.url, "--key", key, "--config", str(self.node.config))
        self._deposit_one("full")
        changing.replace(f"{OWN}/KINDS", "https://third.example")
        self._deposit_one("diff")
        client.close()

    def _deposit_one(self, kind: str) -> None:
        out = ("--out", str(self.config.data / "escrow"), "--to-key", str(self.top.folder / "keys" / "escrow.pub"))
        told = saltern("sync", "escrow", "--config", str(self.node.config), "--type", kind, *out, "--json").stdout
        name = json.loads(told)["deposit"]
        until(lambda: self._sent() == name)

    def _sent(self) -> str:
        """Send what waits; return the deposit whose copy is in use above."""
        saltern("sync", "run", "--config", str(self.node.config))
        copies = self.top.ask("GET", "/v1/copies").json["copies"]
        return copies[0]["deposit"] if copies else ""

    def _kill(self) -> tuple[float, float]:
        """Kill the node; return how long until a client resolves, and until the top node decided."""
        pids = list(self.node.children().values())
        began_s, began_ms = clock.monotonic_s(), clock.now_ms()
        self._kill_node(pids)
        client = StockClient((HOST, self.top.ready["handle"]), ANSWER_S)
        until(lambda: client.resolve(f"{OWN}/KINDS").code, lambda code: code == 1)
        away_s = clock.monotonic_s() - began_s
        assert self._state() == "takeover"
        (event, *_) = self._probes()["events"]
        at_ms = parse_instant(event["at"])
        assert at_ms is not None
        return away_s, (at_ms - began_ms) / 1_000

    def _kill_node(self, pids: list[int]) -> None:
        self.node.stop(signal.SIGKILL)
        until(lambda: not any(map(_lives, pids)))

    def _start_and_kill(self) -> int:
        """Start the node, and kill it as soon as the first change is there; return how many are."""
        self.node.start()
        pids = list(self.node.children().values())
        until(lambda: self.node.get(_NEW).status == 200)
        self._kill_node(pids)
        assert self._state() != "normal"
        with opened(self.config) as (store, _), store.snapshot() as snapshot:
            return handed_state(snapshot, key_id(self.top.public_key)).taken

    def _kill_returning(self, token: str) -> None:
        """Start the node, and kill it when it is found back; register one more, be it of another takeover."""
        self.node.start()
        pids, takeover = list(self.node.children().values()), self._probes()["takeover"]
        until(self._state, lambda state: state in ("returning", "normal"))
        self._kill_node(pids)
        until(self._state, lambda state: state == "takeover")
        if self._probes()["takeover"] != takeover:
            self.made, self.kept = 0, []
        assert self._put(token, _NEW, f"https://top.example/{_NEW}?again").status == 200
        assert self._put(token, _NEW, f"https://top.example/{_NEW}").status == 200
        self.made += 2

    def _hang(self, token: str) -> None:
        """Have the node hang until it is taken over, and go on: nobody starts it, and yet it is handed its change."""
        assert self.node.process is not None
        pids = [self.node.process.pid, *self.node.children().values()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            until(self._state, lambda state: state == "takeover")
            assert self._put(token, _NEW, f"https://top.example/{_NEW}?hung").status == 200
            assert self._put(token, _NEW, f"https://top.example/{_NEW}").status == 200
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        until(self._state, lambda state: state == "normal")
        self.made, self.kept = 2, []

    # --- what the top node says
    def _probes(self) -> Any:
        node_id = self.top.ask("GET", "/v1/nodes").json["nodes"][0]["id"]
        return self.top.ask("GET", f"/v1/nodes/{node_id}/probes").json

    def _state(self) -> str:
        return str(self._probes()["state"])

    def _answers(self, process: Node | TopNode, names: list[str]) -> dict[str, list[Answer]]:
        ports = Ports(process.ready["http"], process.ready["handle"])
        return {way: list(WAYS[way](ports, names)) for way in _QUICK} | {"names": [(name,) for name in names]}

    @staticmethod
    def _require(before: dict[str, list[Answer]], now: dict[str, list[Answer]]) -> None:
        for way in _QUICK:
            for (name,), here, there in zip(before["names"], before[way], now[way], strict=True):
                assert here == there, (way, name, here, there)

    def _client_finds(self, port: int) -> None:
        """Both ways of a client end where they should, with a record, a unit's lot, and nothing."""
        client = StockClient((HOST, self.top.ready["handle"]), 20)
        for name, code in ((f"{OWN}/KINDS", 1), (f"{OWN}/LOT0", 1), (f"{OWN}/NONE", 100)):
            for found in (client.resolve(name), client.follow(name)):
                assert (found.code, found.door) == (code, (HOST, port)), (name, found)

    # --- emergency registration
    def _page(self, method: str, body: bytes | None = None) -> Reply:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        return self.top.ask(method, f"/emergency/{OWN}", body, headers)

    def _token(self) -> str:
        told = self.top.run("emergency-token", OWN, "--prefix", OWN, "--for", "张三", "--json").stdout
        return str(json.loads(told)["secret"])

    def _put(self, token: str, handle: str, text: str | None, source: str = "") -> Reply:
        """Register or delete over HTTP."""
        body = json.dumps([{"index": 1, "type": "URL", "data": text}]).encode()
        line = http.client.HTTPConnection(
            HOST, self.top.ready["http"], timeout=30, source_address=(source, 0) if source else None
        )
        try:
            path = f"/emergency/{OWN}/records/{handle}"
            line.request("DELETE" if text is None else "PUT", path, None if text is None else body,
                         {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})  # fmt: skip
            response = line.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            line.close()

    def _register(self, token: str) -> None:
        """Change, create and delete; whoever has no right is refused, and so is a flood of tries."""
        page = self._page("GET")
        assert (page.status, b'name="token"' in page.body) == (200, True)
        form = f"token={token}&handle={_NEW}&act=put&values=1+URL+https%3A%2F%2Ftop.example%2F{_NEW}".encode()
        assert self._page("POST", form).status == 200
        for handle in (_CHANGED, _BOTH, *self._more()):
            assert self._put(token, handle, f"https://top.example/{handle}").status in (200, 201)
        assert self._put(token, _GONE, None).status == 200
        self.made = 4 + self.changes
        wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
        for secret, handle, status in ((wrong, _CHANGED, 401), ("", _CHANGED, 401), (token, f"{OWN}.1/R1", 403)):
            assert self._put(secret, handle, "https://wrong.example").status == status, (handle, status)
        self._guess(wrong, limits.LOGIN_FAILURES // limits.TOKEN_FAILURE_COST)
        assert self._put(token, _CHANGED, f"https://top.example/{_CHANGED}").status == 200, "nobody else is locked out"

    def _guess(self, wrong: str, tries: int) -> None:
        """Whoever guesses at a token has so many tries, from this machine, too."""
        told = [self._put(wrong, _CHANGED, "https://wrong.example", _STRANGER) for _ in range(tries + 1)]
        assert [each.status for each in told] == [401] * tries + [429]
        assert told[-1].headers["Retry-After"]

    def _more(self) -> list[str]:
        return [f"{OWN}/MORE{number}" for number in range(self.changes)]

    def _require_registered(self, process: Node | TopNode, both: str) -> None:
        """What was registered above is answered by whoever answers now; ``both``: the URL of the record in dispute."""
        wanted = {name: f"https://top.example/{name}" for name in (_NEW, _CHANGED, *self._more())} | {_BOTH: both}
        found = dict(zip(wanted, self._answers(process, list(wanted))["http"], strict=True))
        for name, (status, body) in found.items():
            assert status == 200, (name, status, body)
            assert json.loads(body)["values"][0]["data"]["value"] == wanted[name]
        ((status, _),) = self._answers(process, [_GONE])["http"]
        assert status == 404

    # --- the end
    def _require_equal(self) -> None:
        """Both sides have the same rows, and the change that was kept out is told of."""
        file = ("--config", str(self.node.config))
        saltern("sync", "run", *file)
        assert json.loads(saltern("sync", "verify", *file, "--json").stdout)["equal"]
        (told,) = json.loads(saltern("sync", "status", *file, "--json").stdout)["upstreams"]
        takeover = told["takeover"]
        assert (takeover["on"], takeover["taken"]) == (False, self.made)
        assert [each["handle"] for each in takeover["kept"]] == self.kept
        assert f"{_BOTH}" in saltern("journal", *file, "--json").stdout.decode()

    def _require_same_by_hand(self, names: list[str]) -> None:
        """The next deposit brings all of it back above: taken over by hand, the copy answers as the node that runs."""
        self._deposit_one("diff")
        self.top.run("takeover", OWN, "--reason", "演练")
        here, there = (Ports(each.ready["http"], each.ready["handle"]) for each in (self.node, self.top))
        assert_same(here, there, names, _QUICK)
        for _ in range(2):
            self.top.run("release", OWN, "--reason", "演练结束")
        assert self._state() == "normal"


def _is_hosted(name: str) -> bool:
    """Whether a name is answered from a copy just as by the node: prefix handles and delegated ones are not."""
    prefix = name.partition("/")[0].upper()
    return prefix.startswith(OWN) and prefix != DELEGATED


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
