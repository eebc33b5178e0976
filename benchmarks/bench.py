"""What the rows of resolution share: a node full of records, generators, prepared requests."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import records
from benchmarks.client import resolution
from benchmarks.load import Generators, Load, Traffic, write_requests
from benchmarks.machine import Cores, read_once
from benchmarks.node import Node
from benchmarks.questions import dns_name, dns_question, handle_resolution
from benchmarks.rounds import WARM_S

HTTP_CONNECTIONS = 64
TCP_CONNECTIONS = 16
UDP_DEPTH = 128
"""Datagrams outstanding: two batches of the node, and fewer than the queue of its socket holds."""

_QUESTIONS: dict[str, Callable[[str], bytes]] = {
    "http": resolution,
    "handle-tcp": lambda handle: handle_resolution(handle, keep_alive=True),
    "handle-udp": lambda handle: handle_resolution(handle, keep_alive=False),
    "dns-tcp": lambda handle: dns_question(dns_name(handle), over_tcp=True),
    "dns-udp": lambda handle: dns_question(dns_name(handle), over_tcp=False),
}


@dataclass(frozen=True)
class Bench:
    """A running node with records. ``handles``: all of them, at random; ``seconds``: of one round."""

    node: Node
    folder: Path
    cores: Cores
    generators: Generators
    handles: list[str]
    rounds: int
    seconds: float

    def requests(self, kind: str) -> Path:
        """Return the file with one request a handle, written when it is first asked for."""
        path = self.folder / f"requests-{kind}"
        if not path.exists():
            write_requests(path, map(_QUESTIONS[kind], self.handles))
        return path

    def http(self, *, port: int = 0, source: str = "127.0.0.1") -> Traffic:
        """Return the traffic of the rows about HTTP, to this node or another port."""
        path = self.requests("http")
        return Traffic("tcp", "http", port or self.node.port, path, HTTP_CONNECTIONS, source=source)

    def tcp(self, *, depth: int = 1) -> Traffic:
        """Return the traffic of the rows about the Handle protocol over TCP."""
        path = self.requests("handle-tcp")
        return Traffic("tcp", "handle", self.node.handle_port, path, TCP_CONNECTIONS, depth)

    def udp(self, *, port: int = 0, source: str = "127.0.0.1") -> Traffic:
        """Return the traffic of the rows about UDP, to this node or another port."""
        path = self.requests("handle-udp")
        return Traffic("udp", "handle", port or self.node.handle_port, path, depth=UDP_DEPTH, source=source)

    def flat_out(self, traffic: Traffic, pid: int) -> Callable[[], Load]:
        """Return a round in which a server gets as much as it takes; of the node the keeper counts with its worker."""
        also = self.node.keeper if pid == self.node.worker else 0
        return lambda: self.generators.run(traffic, pid=pid, also=also, warm_s=WARM_S, measure_s=self.seconds)

    def at_rate(self, traffic: Traffic, rate: float, pid: int = 0) -> Load:
        """Run a round at a fixed rate."""
        return self.generators.run(traffic, pid=pid, rate=rate, warm_s=WARM_S, measure_s=self.seconds)


@contextmanager
def filled(folder: Path, cores: Cores, count: int) -> Iterator[Node]:
    """Give a running node with N records, its data file in the page cache."""
    node = Node(folder, cores.server)
    node.load(records.record(number) for number in range(count))
    read_once(node.data_file)
    with node:
        yield node


def shuffled(count: int) -> list[str]:
    """Return the handles of N records, at random and always the same."""
    handles = [records.handle(number) for number in range(count)]
    random.Random(1).shuffle(handles)
    return handles
