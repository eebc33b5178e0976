"""Workers and keeper killed by SIGKILL under load on every protocol: what the logs have afterwards.

Clients ask, each time for a name of its own, and begin anew whenever something breaks; another one registers. Meanwhile
the checkpoints of all logs are read again and again, as anybody may who looks at the published folder.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from audit.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from core.streams import Stream
from tests.kit.handle_client import MEDIA_TYPE
from tests.kit.handle_messages import Message
from tests.kit.handle_node import datagrams_to, question
from tests.kit.node import Node, admin_value
from tests.kit.sequencing import assert_consistent, assert_tiles, leaves_of, root_of
from tests.kit.spools import data_folder, entries
from tests.kit.worker_kills import (
    ANSWER_S,
    HOST,
    PREFIX,
    ZONE,
    Ask,
    dns_number,
    dns_question,
    is_gone,
    open_dns,
    open_http,
    open_tcp,
    process_with,
)

_BROKEN = (OSError, http.client.HTTPException, EOFError)
_DATAGRAM_S = 0.5
_POLL_S = 0.02
_MEDIA = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}


def _open_udp(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket, Ask]:
    line = ending.enter_context(datagrams_to(node))
    line.settimeout(_DATAGRAM_S)
    numbers = itertools.count(1)

    def ask(name: str) -> None:
        number = next(numbers)
        line.send(question(name, number).encode())
        answer = Message.decode(line.recv(65_535))
        assert (answer.request_id, answer.code) == (number, 100), answer

    return line, ask


def _open_dns_udp(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket, Ask]:
    line = ending.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    line.settimeout(_DATAGRAM_S)
    line.connect((HOST, node.ready["dns"]))
    numbers = itertools.cycle(range(1 << 16))

    def ask(name: str) -> None:
        number = next(numbers)
        line.send(dns_question(name, number))
        assert dns_number(line.recv(65_535)) == number

    return line, ask


def _open_carriage(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket, Ask]:
    connection = http.client.HTTPConnection(HOST, node.ready["http"], timeout=ANSWER_S)
    ending.callback(connection.close)
    connection.connect()

    def ask(name: str) -> None:
        connection.request("POST", "/", question(name).encode(), _MEDIA)
        assert Message.decode(connection.getresponse().read()).code == 100

    return connection.sock, ask


def _open_registering(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket | None, Ask]:
    def ask(name: str) -> None:
        values = [{"index": 1, "type": "URL", "data": "https://a.example"}, admin_value(f"0.NA/{PREFIX}")]
        reply = node.put(name, values)
        if reply.status != 201:
            raise ConnectionError(f"{reply.status}: a worker or the registrar is away")

    return None, ask


_WAYS: dict[str, Callable[[Node, contextlib.ExitStack], tuple[socket.socket | None, Ask]]] = {
    "udp": _open_udp,
    "tcp": open_tcp,
    "dns-udp": _open_dns_udp,
    "dns-tcp": open_dns,
    "quick": open_http,
    "slow": lambda node, ending: open_http(node, ending, "?type=URL"),
    "carriage": _open_carriage,
    "register": _open_registering,
}


class _Client(threading.Thread):
    """Asks one way until it is told to stop. ``answered``: names, of which each was asked for once."""

    def __init__(self, node: Node, way: str, stop: threading.Event) -> None:
        super().__init__(name=way, daemon=True)
        self.answered: list[str] = []
        self.failure: str | None = None
        self._node = node
        self._halt = stop
        self._numbers = itertools.count(1)

    def run(self) -> None:
        try:
            while not self._halt.is_set():
                with contextlib.suppress(*_BROKEN), contextlib.ExitStack() as ending:
                    _, ask = _WAYS[self.name](self._node, ending)
                    while not self._halt.is_set():
                        name = f"{PREFIX}/L-{self.name}-{next(self._numbers)}"
                        ask(name)
                        self.answered.append(name)
        except Exception as error:
            self.failure = f"{self.name}: {error!r}"


class _Watcher(threading.Thread):
    """Reads the checkpoints. ``seen``: each that it found, in order."""

    def __init__(self, data: Path, stop: threading.Event) -> None:
        super().__init__(name="watcher", daemon=True)
        self.seen: list[tuple[Path, Checkpoint]] = []
        self.failure: str | None = None
        self._folder = data / "log"
        self._halt = stop

    def run(self) -> None:
        try:
            while not self._halt.wait(_POLL_S):
                self.look()
        except (OSError, CheckpointError) as error:
            self.failure = f"a checkpoint cannot be read: {error!r}"

    def look(self) -> None:
        for path in self._folder.glob("*/*/checkpoint"):
            found = (path.parent, parse_checkpoint(path.read_text().rpartition("\n\n")[0] + "\n"))
            if found not in self.seen[-16:]:
                self.seen.append(found)


class Endured(NamedTuple):
    """What was seen. ``killed``: by kind; ``answers``: of each way, all of them logged once."""

    killed: Counter[str]
    answers: dict[str, int]
    checkpoints: int


def endure_log_kills(node: Node, rounds: int, chance: random.Random) -> Endured:
    """Kill a worker or the keeper of a running node so many times; end it. Errors: AssertionError."""
    stop = threading.Event()
    clients = [_Client(node, way, stop) for way in _WAYS]
    watcher = _Watcher(data_folder(node), stop)
    threads = [*clients, watcher]
    for thread in threads:
        thread.start()
    killed: Counter[str] = Counter()
    try:
        _await_answers(clients)
        for _ in range(rounds):
            kind = chance.choice(["worker", "keeper"])
            _kill(node, kind, chance)
            killed[kind] += 1
            _await_answers(clients)
            stop.wait(chance.random())  # rounds of the sequencer are met at any moment
    finally:
        stop.set()
        for thread in threads:
            thread.join(2 * ANSWER_S)
    failures = [thread.failure for thread in threads if thread.failure]
    assert not failures, failures
    assert node.stop() == 0
    _check_resolutions(node, [client for client in clients if client.name != "register"])
    _check_registrations(node, next(client for client in clients if client.name == "register"))
    watcher.look()
    assert_consistent(watcher.seen)
    return Endured(killed, {client.name: len(client.answered) for client in clients}, len(watcher.seen))


def _kill(node: Node, kind: str, chance: random.Random) -> None:
    """Kill one, and wait until another one has its place."""
    keeper = process_with(node, "log.lock")
    workers = sorted(pid for name, pid in node.children().items() if name.startswith("worker-"))
    pid = keeper if kind == "keeper" else chance.choice(workers)
    count = len(node.children())
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + ANSWER_S
    while not is_gone(pid) or len(node.children()) < count:
        assert time.monotonic() < deadline, f"{kind} is not started again"
        time.sleep(0.005)


def _await_answers(clients: list[_Client]) -> None:
    """Wait until each client is answered again."""
    before = {client.name: len(client.answered) for client in clients}
    deadline = time.monotonic() + 2 * ANSWER_S
    while waiting := [client for client in clients if len(client.answered) <= before[client.name]]:
        failures = [client.failure for client in clients if client.failure]
        assert not failures, failures
        assert time.monotonic() < deadline, f"not answered any more: {[client.name for client in waiting]}"
        time.sleep(0.005)


def _check_resolutions(node: Node, clients: list[_Client]) -> None:
    logged = Counter(entry.identifier.decode().removesuffix(ZONE) for entry in entries(node))
    wrong = {name: logged[name] for client in clients for name in client.answered if logged[name] != 1}
    assert not wrong, f"{len(wrong)} answers are not in the log exactly once: {list(wrong.items())[:5]}"
    assert max(logged.values()) == 1, "an entry is in the log twice, of something that was asked once"


def _check_registrations(node: Node, client: _Client) -> None:
    """All logs verify; what was registered is in its one once."""
    acts: Counter[str] = Counter()
    for stream in Stream:
        for folder in sorted((data_folder(node) / "log" / stream.value).iterdir()):
            checkpoint = parse_checkpoint((folder / "checkpoint").read_text().rpartition("\n\n")[0] + "\n")
            leaves = leaves_of(folder, checkpoint.size)
            assert root_of(leaves) == checkpoint.root, folder
            assert_tiles(folder, checkpoint.size, leaves)
            if stream is Stream.REGISTRATION:
                documents = [json.loads(leaf) for leaf in leaves if leaf[:1] == b"{"]
                acts.update(each["obj"].upper() for each in documents if each["act"] == "record.create")
    wrong = {name: acts[name.upper()] for name in client.answered if acts[name.upper()] != 1}
    assert not wrong, f"{len(wrong)} of {len(client.answered)} registrations, logged {acts.total()}: {wrong}"
