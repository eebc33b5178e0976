"""A node and a top node that misbehaves, killed by SIGKILL in the two moments that count; what is above in the end.

Between both is a gate that holds one message with rows: before it is forwarded (what it tells is committed, and not
sent), or with its answer (sent, and not acknowledged). Then whoever sends is killed, the whole node, or the top node,
while others go on writing; what was killed is started again. The process of the node sends templates of enterprises at
once; identifiers are sent by `saltern sync run`, their day being long.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socketserver
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.changes import ChangeKind, Serial, unpack_change
from core.config import load
from core.errors import StoreError
from core.records import HandleValue
from core.signature import key_id
from node import wiring
from node.signing import load_signer
from node.topnode_front import MEDIA_TYPE
from node.topnode_keys import load_store_key
from node.topnode_settings import load_topnode, topnode_data
from registry.client import BlockingClient
from registry.commands import (
    Actor,
    AddParty,
    AddTemplate,
    AmendParty,
    Command,
    CreateLot,
    Delete,
    PublishTemplate,
    Put,
    Request,
)
from sync.envelope import QUESTION, open_envelope
from sync.form import decode
from sync.messages import Delta, Piece
from sync.tables import TABLES
from sync.topnode.store import TopStore
from tests.kit.governance import ROWS, form
from tests.kit.node import SALTERN, Node, saltern
from tests.kit.templates import CODE, template_form
from tests.kit.topnodes import HOST, TopNode
from tests.kit.worker_kills import ANSWER_S, is_gone


class _Moment(NamedTuple):
    sender: str
    victim: str
    window: str


PREFIX: Final = "88.118.7"
SENDERS: Final = {"process": "T11", "command": "T9"}  # and what of theirs is held
_MOMENTS: Final = [
    _Moment(sender, victim, window)
    for sender in SENDERS
    for victim in ("sender", "node", "top")
    for window in ("committed", "sent")
]
_HELD_S: Final = 60.0  # until a message with rows comes by, however often the top node answered badly before
_BROKEN: Final = (OSError, http.client.HTTPException)
_ACTOR: Final = Actor(local=True, name="张经办")
_KNOWN_PARTY: Final = re.compile(r"P\d{6}")
_OPERATIONS: Final = {
    ChangeKind.RECORD_CREATED: 1, ChangeKind.RECORD_CHANGED: 3, ChangeKind.RECORD_DELETED: 2,
    ChangeKind.LOT_CREATED: 1, ChangeKind.LOT_ABANDONED: 2,
}  # fmt: skip


class Gate:
    """A line to a top node over HTTP, which holds one message where it is told to. ``to``: its port."""

    def __init__(self) -> None:
        self.to = 0
        self.held = threading.Event()
        self._window = self._table = ""
        self._goes_on = threading.Event()
        self._forward = False
        gate = self

        class Line(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(*_BROKEN):
                    while gate._carry(self.rfile, self.wfile):
                        pass

        self._server = socketserver.ThreadingTCPServer((HOST, 0), Line)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def hold(self, window: str, table: str) -> None:
        """Hold the next message with rows of a table, or its answer where it is one."""
        self.held.clear()
        self._goes_on.clear()
        self._table, self._window = table, window

    def let_go(self, *, forward: bool) -> None:
        """Let what is held go on, or let it be lost."""
        self._forward = forward
        self._goes_on.set()

    def close(self) -> None:
        self._goes_on.set()
        self._server.shutdown()
        self._server.server_close()

    def _carry(self, asks: Any, answers: Any) -> bool:
        """Carry one message and its answer, whatever that is; return whether the connection goes on."""
        if not asks.readline():
            return False
        body = asks.read(int(http.client.parse_headers(asks)["Content-Length"]))
        table = _table_of(body)
        wanted = table == self._table
        if wanted and self._window == "committed" and not self._hold():
            return False
        status, length, answer = _asked(self.to, body)
        whole = status == 200 and len(answer) == length  # HTTP OK
        if whole and wanted and self._window == "sent" and not self._hold():
            return False
        head = f"HTTP/1.1 {status} -\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {length}\r\n\r\n"
        answers.write(head.encode() + answer)
        return len(answer) == length

    def _hold(self) -> bool:
        self._window = ""
        self.held.set()
        return self._goes_on.wait(_HELD_S) and self._forward


def _table_of(body: bytes) -> str:
    """Return of which table a message has rows, "" for another one."""
    message = decode(open_envelope(QUESTION, body).payload)
    return message.table if isinstance(message, Delta | Piece) and message.items else ""


def _asked(port: int, body: bytes) -> tuple[int, int, bytes]:
    """Return status, announced length and octets of an answer."""
    line = http.client.HTTPConnection(HOST, port, timeout=ANSWER_S)
    try:
        line.request("POST", "/upstream/v1", body, {"Content-Type": MEDIA_TYPE})
        response = line.getresponse()
        length = response.length or 0
        try:
            return response.status, length, response.read()
        except http.client.IncompleteRead as cut:
            return response.status, length, cut.partial
    finally:
        line.close()


class _Writer(threading.Thread):
    """Registers, changes and deletes identifiers, lots and parties, as fast as the node answers.

    ``there``: names of identifiers that are there; ``unsure``: whose last act was not answered; ``party_unsure``:
    whether the last party's adding was not.
    """

    def __init__(self, node: Node, seed: int) -> None:
        super().__init__(daemon=True)
        self.acts = 0
        self.there: set[str] = set()
        self.unsure: set[str] = set()
        self.party_unsure = False
        self.failure: str | None = None
        self._folder = wiring.run_folder(load(node.config))
        self._chance = random.Random(seed)
        self._stop_event = threading.Event()
        self._number = 0
        self._templates = 0
        self._parties: list[str] = []

    def run(self) -> None:
        try:
            while not self._stop_event.is_set():
                with contextlib.suppress(OSError, StoreError), contextlib.closing(BlockingClient(self._folder)) as line:
                    while not self._stop_event.is_set():
                        self._act(line)
                        self._stop_event.wait(0.005)
                self._stop_event.wait(0.02)
        except Exception as error:
            self.failure = repr(error)

    def end(self) -> None:
        self._stop_event.set()
        self.join(ANSWER_S)
        assert not self.is_alive(), "a client waits for ever"
        assert self.failure is None, self.failure

    def await_acts(self, count: int = 3) -> None:
        """Wait until so many acts more were answered."""
        wanted, deadline = self.acts + count, time.monotonic() + 2 * ANSWER_S
        while self.acts < wanted:
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline, "nothing is registered any more"
            time.sleep(0.005)

    def _act(self, line: BlockingClient) -> None:
        kind = self._chance.choice(("put", "put", "put", "replace", "replace", "delete", "lot", "party", "template"))
        old = self._chance.choice(sorted(self.there)) if self.there else ""
        if kind == "delete" and old.startswith(f"{PREFIX}/R"):
            self._do(line, Delete(old), old, there=False)
        elif kind == "replace" and old.startswith(f"{PREFIX}/R"):
            self._do(line, _record(old, self.acts), old, there=True)
        elif kind == "lot" and old.startswith(f"{PREFIX}/R"):
            name = self._new_name("LOT")
            lot = {"lot": name, "product": old, "count": 1_000, "units_per_case": 10}
            self._do(line, CreateLot(json.dumps(lot).encode()), name, there=True)
        elif kind == "party" or not self._parties:
            self._party(line)
        elif kind == "template":
            self._template(line)
        else:
            name = self._new_name("R")
            self._do(line, _record(name, self.acts), name, there=True)

    def _party(self, line: BlockingClient) -> None:
        if len(self._parties) < len(ROWS):
            self._parties.append(self._added(line))
        else:
            amended = json.dumps({"address": f"天津市滨海新区{self.acts}号"})
            self._call(line, AmendParty(self._chance.choice(self._parties), amended.encode()))

    def _added(self, line: BlockingClient) -> str:
        """Add the next party and return its id; one whose adding was not answered may be there, which is told then."""
        again, self.party_unsure = self.party_unsure, True
        result = line.call(Request(AddParty(form(len(self._parties))), _ACTOR))
        known = _KNOWN_PARTY.search(result.message) if again and result.rule == "certificate-known" else None
        assert result.done or known, result
        self.party_unsure = False
        self.acts += 1
        return known[0] if known else json.loads(result.body)["party"]

    def _template(self, line: BlockingClient) -> None:
        """Publish a version of a template; parties take turns, as each of them may have some hundreds."""
        at, self._templates = self._templates % len(self._parties), self._templates + 1
        code, version = f"{CODE}-{at}", f"{self._templates}.0"
        self._call(line, AddTemplate(template_form(code=code, version=version, party=self._parties[at])))
        self._call(line, PublishTemplate(code, version))

    def _do(self, line: BlockingClient, command: Command, name: str, *, there: bool) -> None:
        self.there.discard(name)
        self.unsure.add(name)
        self._call(line, command)
        self.unsure.discard(name)
        if there:
            self.there.add(name)

    def _call(self, line: BlockingClient, command: Command) -> Any:
        result = line.call(Request(command, _ACTOR))
        assert result.done, f"{command}: {result}"
        self.acts += 1
        return json.loads(result.body) if result.body else {}

    def _new_name(self, stem: str) -> str:
        self._number += 1
        return f"{PREFIX}/{stem}{self._number}"


def _record(name: str, number: int) -> Put:
    return Put(name, (HandleValue(1, "NAME", f"海盐 {number}".encode()),), overwrite=True)


class Endured(NamedTuple):
    """What was seen. ``killed``: by process and moment; ``changes``: of identifiers, each above once."""

    killed: Counter[str]
    acts: int
    changes: int
    rows: int


def endure_sync_kills(folder: Path, rounds: int, chance: random.Random) -> Endured:
    """Kill one of both sides so many times; compare both in the end. Errors: AssertionError for a broken promise."""
    top, node = TopNode(folder / "top", "default"), Node(folder / "node", PREFIX)
    gate = Gate()
    with contextlib.closing(gate), node, top:
        gate.to = top.ready["http"]
        _connect(node, top, gate)
        writer = _Writer(node, chance.randrange(2**32))
        writer.start()
        killed: Counter[str] = Counter()
        for moment in _moments(rounds, chance):
            gate.hold(moment.window, SENDERS[moment.sender])
            _kill(node, top, gate, writer, moment, forward=chance.random() < 0.5)
            killed[" ".join(moment)] += 1
        writer.end()
        top.stop()
        top.misbehave = ""
        gate.to = top.start().ready["http"]
        rows = _brought_together(node)
        assert "Traceback" not in node.log() + top.log()
    return Endured(killed, writer.acts, _check_above(node, top, writer), rows)


def _connect(node: Node, top: TopNode, gate: Gate) -> None:
    key = str(top.folder / "keys" / "top.pub")
    arguments = ("sync", "connect", "--config", str(node.config), "--url", gate.url, "--key", key)
    for _ in range(20):  # the top node answers as badly as it is told to
        if saltern(*arguments, check=False).returncode == 0:
            return
    raise AssertionError("it is not connected")


def _moments(rounds: int, chance: random.Random) -> Iterator[_Moment]:
    """Yield who is killed, and when: each of them at each moment, and so on."""
    waiting: list[_Moment] = []
    for _ in range(rounds):
        waiting = waiting or chance.sample(_MOMENTS, len(_MOMENTS))
        yield waiting.pop()


def _kill(node: Node, top: TopNode, gate: Gate, writer: _Writer, moment: _Moment, *, forward: bool) -> None:
    """Kill one once a message is held; start it again. ``forward``: what is held goes on all the same."""
    deadline = time.monotonic() + _HELD_S
    command: subprocess.Popen[bytes] | None = None
    while not gate.held.wait(0.05):
        if moment.sender == "command" and (command is None or command.poll() is not None):
            command = _send(node)  # again where the top node answered too badly
        assert writer.failure is None, writer.failure
        assert time.monotonic() < deadline, f"no rows were sent:\n{node.log()[-2_000:]}"
    writer.await_acts()
    if moment.victim == "top":
        top.stop(signal.SIGKILL)
        gate.to = top.start().ready["http"]
        gate.let_go(forward=forward)
    elif moment.victim == "node":
        node.stop(signal.SIGKILL)
        gate.let_go(forward=forward)
        node.start()
    else:
        pid = node.children()["sync"] if command is None else command.pid
        os.kill(pid, signal.SIGKILL)
        if command is not None:
            command.wait(ANSWER_S)
        deadline = time.monotonic() + ANSWER_S
        while not is_gone(pid):
            assert time.monotonic() < deadline, f"{pid} outlives SIGKILL"
        gate.let_go(forward=forward)
    writer.await_acts()
    if command is not None:
        command.wait(_HELD_S)


def _send(node: Node) -> subprocess.Popen[bytes]:
    command = [*SALTERN, "sync", "run", "--config", str(node.config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _brought_together(node: Node) -> int:
    """Send what waits, and compare both sides; return the number of rows."""
    saltern("sync", "run", "--config", str(node.config))
    told = json.loads(saltern("sync", "verify", "--json", "--config", str(node.config)).stdout)
    assert told["equal"] is True, told
    assert set(told["tables"]) == set(TABLES)
    return sum(table["rows"] for table in told["tables"].values())


def _check_above(node: Node, top: TopNode, writer: _Writer) -> int:
    """The history above is the node's feed, each change once; its identifiers are those that were acknowledged."""
    config, above = load(node.config), load_topnode(top.config)
    node_id = key_id(load_signer(config).public_key)
    with (
        contextlib.closing(wiring.open_store(config, read_only=True)) as store,
        contextlib.closing(TopStore(topnode_data(above) / "store", load_store_key(above), read_only=True)) as held,
        store.snapshot() as snapshot,
        held.read() as view,
    ):
        feed = snapshot.feed(Serial(0), snapshot.serial())
        changes = [(serial, unpack_change(row)) for serial, row in feed]
        made = [
            (serial, _OPERATIONS[change.kind], change.identifier.encode())
            for serial, change in changes
            if change.kind in _OPERATIONS and not change.identifier.startswith("0.NA/")
        ]
        assert [serial for serial, _ in changes] == list(range(1, snapshot.serial() + 1))
        assert [tuple(each) for each in view.history(node_id, 0, len(made) + 1)] == made
        assert not list(view.refused(node_id, TABLES["T9"]))
        names = {key.decode() for key, _ in view.rows(node_id, TABLES["T9"], b"", None)}
        assert names - writer.unsure == writer.there
        parties = sum(1 for _ in view.rows(node_id, TABLES["T6"], b"", None))
        assert 0 <= parties - len(writer._parties) <= writer.party_unsure
    return len(made)
