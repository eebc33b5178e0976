"""Workers killed by SIGKILL under load: who notices, who is deaf, and whether every answer is in the log.

Clients ask by the Handle protocol and DNS, over UDP from many ports, and over TCP and HTTP by connections that stay
open, each time for a name of its own. A connection knows on which worker it is: the kernel tells
the inode of its other end, and which process has that open. A datagram may be lost only if it was sent
before the worker of its socket was seen to be gone; whatever is sent later must be answered.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.events import Via
from tests.kit import dns
from tests.kit.handle_client import read_message
from tests.kit.handle_messages import Flag, Message
from tests.kit.handle_node import question
from tests.kit.node import Node
from tests.kit.spools import entries, entries_by_worker, keeping_segments

PREFIX = "88.118.7"
HOST = "127.0.0.1"
PORTS = 64  # source ports by UDP: that four sockets are not all hit has a chance of 4e-8
STREAMS = 6  # connections of each kind
EVERY_S = 1.0
ANSWER_S = 10.0  # an answer that takes longer is none
_LOOK_S = 0.01
ZONE = ".oid-res.org"  # of the names that are asked for over DNS
_BROKEN = (OSError, http.client.HTTPException)
Ask = Callable[[str], None]


class Kill(NamedTuple):
    """One worker that was killed."""

    pid: int
    name: str


class Kills:
    """What the clients need to know. ``done``: kills whose worker was seen to be gone; ``begun``: all."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.begun: list[Kill] = []
        self.done = 0
        self.stop = threading.Event()
        self._others = {node.children()[name] for name in ("registrar", "keeper", "sync", "monitor")}
        self.workers_wanted = len(self.workers())

    def workers(self) -> set[int]:
        """Return the workers that run."""
        return set(self.node.children().values()) - self._others

    def kill(self, pid: int) -> None:
        """Kill a worker; return once it is gone."""
        self.begun.append(Kill(pid, worker_name(pid)))
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + ANSWER_S
        while not is_gone(pid):
            assert time.monotonic() < deadline, f"{pid} outlives SIGKILL"
        self.done += 1


class Endured(NamedTuple):
    """What was seen: ``broken`` connections and ``lost`` datagrams, all of workers that were killed.

    ``back_s_max``: the longest from a kill to an answer for every client; ``answer_s_max``: the
    longest that an answer took on a connection that was served before and did not end.
    """

    kills: int
    answers: int
    broken: int
    lost: int
    back_s_max: float
    answer_s_max: float


def endure_kills(
    node: Node, rounds: int, chance: random.Random, every_s: float = EVERY_S, *, newest: bool = False
) -> Endured:
    """Kill a worker ``rounds`` times, one every ``every_s``. Errors: AssertionError for a broken promise.

    Each time every client must be answered again before the next one is killed. ``newest``: kill
    always the one that was started last, which so never grows old.
    """
    with keeping_segments(node):
        return _endure_kills(node, rounds, chance, every_s, newest=newest)


def _endure_kills(node: Node, rounds: int, chance: random.Random, every_s: float, *, newest: bool) -> Endured:
    kills = Kills(node)
    datagrams = [_Datagrams(kills, kind) for kind in _PACKETS]
    streams = [_Stream(kills, kind, number) for kind in _KINDS for number in range(STREAMS)]
    clients: list[_Client] = [*datagrams, *streams]
    for client in clients:
        client.start()
    back_s_max, before = 0.0, set[int]()
    try:
        _await_all(kills, clients)
        for _ in range(rounds):
            began = time.monotonic()
            workers = kills.workers()
            kills.kill(chance.choice(sorted(workers - before if newest else workers)))
            before = workers
            _await_all(kills, clients)
            took = time.monotonic() - began
            back_s_max = max(back_s_max, took)
            kills.stop.wait(max(0.0, every_s - took))
    finally:
        kills.stop.set()
        for client in clients:
            client.join(2 * ANSWER_S)
    for client in clients:
        assert not client.is_alive(), "a client waits for ever"
        assert client.failure is None, client.failure
    broken = sum(stream.broken for stream in streams)
    assert broken, "the kills ended connections"
    answers = _check_log(node, clients)
    lost = sum(_check_datagrams(kills, each) for each in datagrams)
    return Endured(rounds, answers, broken, lost, back_s_max, max(stream.answer_s_max for stream in streams))


def _await_all(kills: Kills, clients: list[_Client]) -> None:
    """Wait until as many workers run as before and each client was answered to what it asked after the last kill."""
    deadline = time.monotonic() + 2 * ANSWER_S
    while len(kills.workers()) < kills.workers_wanted or any(client.seen < kills.done for client in clients):
        failures = [client.failure for client in clients if client.failure]
        assert not failures, failures
        behind = [client.name for client in clients if client.seen < kills.done]
        assert time.monotonic() < deadline, f"not answered after the kill: {behind}"
        kills.stop.wait(_LOOK_S)


def _check_log(node: Node, clients: list[_Client]) -> int:
    """Every answer that a client got is in the log, once; return how many."""
    logged = Counter(entry.identifier.decode().removesuffix(ZONE) for entry in entries(node))
    answered = [name for client in clients for name in client.answered]
    missing = [name for name in answered if name not in logged]
    assert not missing, f"{len(missing)} of {len(answered)} answers are not in the log: {missing[:5]}"
    assert all(logged[name] == 1 for name in answered), "an answer is in the log twice"
    return len(answered)


def _check_datagrams(kills: Kills, datagrams: _Datagrams) -> int:
    """A port has one worker for ever, and lost a datagram only if that one was killed; return how many were lost."""
    workers: dict[int, set[str]] = {}
    for name, found in entries_by_worker(kills.node).items():
        for entry in found:
            if entry.via is datagrams.packets.via:
                workers.setdefault(int.from_bytes(entry.peer[:2]), set()).add(name)
    owners = {source: workers[source] for source in datagrams.sources}
    assert all(len(names) == 1 for names in owners.values()), "a source port was moved to another worker"
    assert len(set().union(*owners.values())) == kills.workers_wanted, "every worker's socket was asked"
    for missing in datagrams.missing.values():
        killed = {kill.name for kill in kills.begun[missing.done : missing.done_then]}
        assert owners[missing.source] <= killed, f"{missing} was lost, but only {killed} was killed"
    return len(datagrams.missing)


class _Client(threading.Thread):
    """Asks until it is told to stop. ``seen``: how many kills were done before its last answered request was sent."""

    def __init__(self, kills: Kills, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.kills = kills
        self.seen = -1
        self.answered: list[str] = []
        self.failure: str | None = None
        self._numbers = itertools.count(1)

    def run(self) -> None:
        try:
            while not self.kills.stop.is_set():
                self.work()
        except Exception as error:
            self.failure = f"{self.name}: {error!r}"

    def work(self) -> None:
        raise NotImplementedError

    def new_name(self) -> str:
        return f"{PREFIX}/K-{self.name}-{next(self._numbers)}"


# --- connections ---


class _Stream(_Client):
    """One connection after the other: a new one only when the worker of the last was killed."""

    def __init__(self, kills: Kills, kind: str, number: int) -> None:
        super().__init__(kills, f"{kind}-{number}")
        self.owner: int | None = None
        self.broken = 0
        self.answer_s_max = 0.0
        self._open = _KINDS[kind]

    def work(self) -> None:
        """Open a connection and ask over it to its end."""
        done = self.kills.done
        with contextlib.ExitStack() as ending:
            line, ask = self._open(self.kills.node, ending)
            try:
                self._ask(ask)
                self.owner = owner_of(line, self.kills.workers())
                while not self.kills.stop.is_set():
                    self._ask(ask)
            except _BROKEN as error:
                self._require_killed(done, error)
            self.owner = None

    def _ask(self, ask: Ask) -> None:
        """Errors: OSError, HTTPException."""
        name, done, began = self.new_name(), self.kills.done, time.monotonic()
        ask(name)
        self.answered.append(name)
        if self.owner is not None:  # a new one may have waited for a worker that was started again
            self.answer_s_max = max(self.answer_s_max, time.monotonic() - began)
        self.seen = done

    def _require_killed(self, done: int, error: Exception) -> None:
        """A connection that ends was on a worker that was killed; one that was too new to know, killed meanwhile."""
        killed = {kill.pid for kill in (self.kills.begun if self.owner else self.kills.begun[done:])}
        assert killed if self.owner is None else self.owner in killed, (
            f"a connection to {self.owner} ended by {error!r}, killed were {self.kills.begun}"
        )
        self.broken += 1


def open_tcp(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket, Ask]:
    line = ending.enter_context(socket.create_connection((HOST, node.ready["handle"]), ANSWER_S))
    stream = ending.enter_context(line.makefile("rb"))
    numbers = itertools.count(1)

    def ask(name: str) -> None:
        number = next(numbers)
        line.sendall(question(name, number, Flag.PUBL | Flag.KPAL).encode())
        answer = Message.decode(read_message(stream.read))
        assert (answer.request_id, answer.code) == (number, 100), answer

    return line, ask


def open_http(node: Node, ending: contextlib.ExitStack, query: str = "") -> tuple[socket.socket, Ask]:
    connection = http.client.HTTPConnection(HOST, node.ready["http"], timeout=ANSWER_S)
    connection.auto_open = 0
    connection.connect()
    ending.callback(connection.close)

    def ask(name: str) -> None:
        connection.request("GET", f"/api/handles/{name}{query}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 404, body
        assert name.encode() in body, body

    return connection.sock, ask


def open_dns(node: Node, ending: contextlib.ExitStack) -> tuple[socket.socket, Ask]:
    line = ending.enter_context(socket.create_connection((HOST, node.ready["dns"]), ANSWER_S))
    stream = ending.enter_context(line.makefile("rb"))
    numbers = itertools.cycle(range(1 << 16))

    def ask(name: str) -> None:
        number = next(numbers)
        line.sendall(dns.framed(dns_question(name, number)))
        size = stream.read(2)
        if len(size) < 2:
            raise ConnectionResetError("the connection ended")
        assert dns_number(stream.read(int.from_bytes(size))) == number

    return line, ask


def dns_question(name: str, number: int) -> bytes:
    return dns.ask(name + ZONE, number=number)


def dns_number(answer: bytes) -> int:
    found = dns.read(answer)
    assert dns.rcode(answer) == "NXDOMAIN", found
    return found.id


_KINDS: dict[str, Callable[[Node, contextlib.ExitStack], tuple[socket.socket, Ask]]] = {
    "tcp": open_tcp,
    "dns": open_dns,
    "quick": open_http,
    "slow": lambda node, ending: open_http(node, ending, "?type=URL"),
}


# --- datagrams ---


class _Missing(NamedTuple):
    """A request that was not answered: from where, and how many kills were done when it was sent and given up."""

    source: int
    done: int
    done_then: int


class _Packets(NamedTuple):
    """A protocol over UDP: the name of its port, its place in the log, how it asks, and the number of an answer."""

    port: str
    via: Via
    question: Callable[[str, int], bytes]
    number: Callable[[bytes], int]


def _handle_number(answer: bytes) -> int:
    found = Message.decode(answer)
    assert found.code == 100, found
    return found.request_id


_PACKETS = {
    "udp": _Packets("handle", Via.HANDLE_UDP, lambda name, number: question(name, number).encode(), _handle_number),
    "dns-udp": _Packets("dns", Via.DNS_UDP, dns_question, dns_number),
}


class _Source:
    """One source port, with one request under way."""

    def __init__(self, node: Node, packets: _Packets) -> None:
        self.packets = packets
        self.line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.line.connect((HOST, node.ready[packets.port]))
        self.line.setblocking(False)
        self.port: int = self.line.getsockname()[1]
        self.names: dict[int, str] = {}
        self.seen = -1
        self.done = 0
        self.sent_s = 0.0
        self.number = 0

    def ask(self, name: str, done: int) -> None:
        self.number = (self.number + 1) % (1 << 16)
        self.names[self.number] = name
        self.done, self.sent_s = done, time.monotonic()
        self.line.send(self.packets.question(name, self.number))


class _Datagrams(_Client):
    """PORTS source ports, each with a socket of its own. ``missing``: by name, what was not answered."""

    def __init__(self, kills: Kills, kind: str) -> None:
        super().__init__(kills, kind)
        self.packets = _PACKETS[kind]
        self.missing: dict[str, _Missing] = {}
        self._all = [_Source(kills.node, self.packets) for _ in range(PORTS)]
        self.sources = [source.port for source in self._all]
        self._selector = selectors.DefaultSelector()
        self._looked_s = 0.0
        for source in self._all:
            self._selector.register(source.line, selectors.EVENT_READ, source)

    def run(self) -> None:
        with contextlib.ExitStack() as ending:
            for source in self._all:
                ending.enter_context(source.line)
            for source in self._all:
                source.ask(self.new_name(), self.kills.done)
            super().run()
            if self.failure is None:
                self._end()

    def work(self) -> None:
        """Take what came, and look after what does not come."""
        self._take(go_on=True)
        if time.monotonic() > self._looked_s + _LOOK_S:
            self._looked_s = time.monotonic()
            for source in self._all:
                self._look(source)
            self.seen = min(source.seen for source in self._all)

    def _take(self, *, go_on: bool) -> None:
        for key, _ in self._selector.select(_LOOK_S):
            source: _Source = key.data
            number = self.packets.number(source.line.recv(65_535))
            name = source.names.pop(number)
            self.answered.append(name)
            self.missing.pop(name, None)  # it came late
            if number == source.number:
                source.seen = source.done
                if go_on:
                    source.ask(self.new_name(), self.kills.done)

    def _look(self, source: _Source) -> None:
        """Give up what was under way at a kill; nothing else may stay without its answer."""
        done = self.kills.done
        if source.done < done:
            self.missing[source.names[source.number]] = _Missing(source.port, source.done, done)
            source.ask(self.new_name(), done)
        elif time.monotonic() > source.sent_s + ANSWER_S:
            raise AssertionError(f"source port {source.port} is not answered any more")

    def _end(self) -> None:
        """Take the last answers."""
        try:
            deadline = time.monotonic() + ANSWER_S
            while any(source.number in source.names for source in self._all):
                assert time.monotonic() < deadline, "the last requests are not answered"
                self._take(go_on=False)
        except Exception as error:
            self.failure = f"{self.name}: {error!r}"


# --- what the kernel knows ---


def owner_of(line: socket.socket, pids: set[int]) -> int | None:
    """Return which process has the other end of a connection of this machine open; None if none of these has."""
    near, far = line.getsockname()[1], line.getpeername()[1]
    wanted = f":{far:04X}", f":{near:04X}"
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]):
            return next((pid for pid in pids if f"socket:[{fields[9]}]" in _open_files(pid)), None)
    return None


def worker_name(pid: int) -> str:
    """Return which worker a process is, by the segment that it writes."""
    names = {Path(file).name.rpartition("-")[0] for file in _open_files(pid) if file.endswith(".spool")}
    assert len(names) == 1, f"{pid} writes {names}"
    return names.pop()


def process_with(node: Node, file: str) -> int:
    """Return which process of a node has a file of this name open; wait for it."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        for pid in node.children().values():
            if any(Path(name).name == file for name in _open_files(pid)):
                return pid
    raise AssertionError(f"no process has {file} open")


def is_gone(pid: int) -> bool:
    """Whether a process runs no more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def _open_files(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):  # it ended meanwhile
        for file in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{file}"))
    return found
