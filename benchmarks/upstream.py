"""What bringing a node's changes to a top node costs, and what it takes from those who resolve and register meanwhile.

Two real nodes by their commands, ``saltern serve`` and ``saltern topnode serve``, over HTTP on loopback, fsync on at
both. The records of the node are the backlog: a change each, of which the top node holds nothing. ``saltern sync run``
sends them on the client's core, the top node has the server's; the memory of both is read all the while. Reference: the
rows that the top node then holds put into an LMDB environment of its own, as many a transaction as in a message.

Resume: from the start of that process to its first exchange, and to the first changes of identifiers that the top node
holds: other tables look through all of the backlog before. Then it is killed and started again. Outage: more changes,
then `saltern sync run`, all of the command. Beside it: the running node sends the same backlog once more to another top
node, which it shares the cores with, while reads at a fixed rate go on; worker, keeper, registrar and what sends share
one core, as in the rows of latency.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from benchmarks import records
from benchmarks.bench import UDP_DEPTH
from benchmarks.client import Connection, request
from benchmarks.load import NO_COMPILER, Generators, Load, Traffic, compile_programs, write_requests
from benchmarks.machine import Cores, memory_bytes, on_core, processor_s, read_once
from benchmarks.node import Node
from benchmarks.questions import handle_resolution
from benchmarks.rounds import WARM_S
from benchmarks.table import Floor, Row
from core import limits

_SALTERN = (sys.executable, "-m", "node.cli.main")
_OUTAGE = 10_000
_LOOK_S = 0.02
_SOON_S = 0.002
_END_S = 120
_READS_PER_S = 5_000
_BATCH = 1_000
_BATCHES = 40
_RATE = Floor("≥", 20_000, " rows/s")
_GROWTH = Floor("≤", 32, " MB")
_RESUME = Floor("<", 1.0, " s")
_OUTAGE_S = Floor("<", 5.0, " s")
_VERIFY = Floor("<", 10.0, " s")
_STATUS = Floor("<", 2.0, " s")
_READS = Floor("<", 10.0, " ms")


class TopNode:
    """A reference top node in a folder, bound to a core; `with` runs it."""

    def __init__(self, folder: Path, core: int) -> None:
        self.folder, self._core = folder, core
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        _command("topnode", "init", str(folder))

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    def held(self, table: str) -> dict[str, Any]:
        """Return what it says of a table of the node; nothing of one that it does not know."""
        nodes = self._ask("/v1/nodes")["nodes"]
        if not nodes:
            return {"rows": 0, "serial": 0}
        found: dict[str, Any] = self._ask(f"/v1/nodes/{nodes[0]['id']}/tables")["tables"][table]
        return found

    def last(self) -> str | None:
        """Return when the node said something last, None if it never did."""
        nodes = self._ask("/v1/nodes")["nodes"]
        return str(nodes[0]["last"]) if nodes else None

    def _ask(self, path: str) -> dict[str, Any]:
        with Connection(self.port) as connection:
            found: dict[str, Any] = json.loads(connection.ask(request("GET", path)).body)
        return found

    def __enter__(self) -> TopNode:
        config = str(self.folder / "topnode.toml")
        with (self.folder / "topnode.log").open("ab") as log, on_core(self._core):
            self._process = subprocess.Popen(
                [*_SALTERN, "topnode", "serve", "--config", config,
                 "--set", f"http.port={self.port}", "--set", "handle.port=0"],
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["http"])
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.terminate()
        self._process.wait(_END_S)
        self._process.stdout.close()


class _Begun(NamedTuple):
    """`saltern sync run` under way. Seconds from its start: to its first exchange, to its first identifiers above."""

    process: subprocess.Popen[bytes]
    exchanged_s: float
    changed_s: float


class _Sent(NamedTuple):
    """What was sent until the end. Memory in octets: the most, and that of the first tenth. Processor time: of both."""

    rows: int
    seconds: float
    sender: tuple[int, int]
    top: tuple[int, int]
    processor_s: tuple[float, float]


def measure(folder: Path, cores: Cores, *, count: int, seconds: float) -> Iterator[Row]:
    """Yield all rows. ``count``: changes that wait; ``seconds``: of one load of reads."""
    folder.mkdir()
    node = Node(folder / "node", cores.server)
    with TopNode(folder / "top", cores.server) as top:
        _connect(node, top)
        _command("sync", "run", *_at(node))  # all that there was before
        node.load(records.record(number) for number in range(count))
        read_once(node.data_file)
        yield _status(node, cores, count)
        first = _begin(node, top, cores)
        first.process.kill()
        first.process.wait(_END_S)
        again = _begin(node, top, cores)
        sent = _watch(top, again)
        yield from _sent_rows(folder, top, sent)
        yield _resumed(f"start of `saltern sync run` to its first exchange, {count:,} changes wait", first.exchanged_s)
        yield _resumed("the same to the first identifiers above, after six tables looked through the backlog",
                       first.changed_s)  # fmt: skip
        yield _resumed("SIGKILL in the midst, started again, to the next identifiers above", again.changed_s)
    node.load(records.record(number, series="OT") for number in range(_OUTAGE))
    with top:
        yield _outage(node, top, cores, count)
        yield _verify(node, cores)
        _command("sync", "disconnect", *_at(node), _upstream(node))
    yield from _beside(folder, node, cores, count + _OUTAGE, seconds)


# --- sending ---
def _begin(node: Node, top: TopNode, cores: Cores) -> _Begun:
    before, held = top.last(), top.held("T9")["serial"]
    began = time.monotonic()
    with on_core(cores.client):
        process = subprocess.Popen([*_SALTERN, "sync", "run", *_at(node)], stdout=subprocess.DEVNULL)
    while top.last() == before:
        time.sleep(_SOON_S)
    exchanged_s = time.monotonic() - began
    while top.held("T9")["serial"] == held:
        time.sleep(_SOON_S)
    return _Begun(process, exchanged_s, time.monotonic() - began)


def _watch(top: TopNode, begun: _Begun) -> _Sent:
    """Read the memory of both until all is sent."""
    pid, process = begun.process.pid, begun.process
    at, began, spent = top.held("T9")["rows"], time.monotonic(), (processor_s(pid), processor_s(top.pid))
    senders, tops, processor = [memory_bytes(pid, "RssAnon")], [memory_bytes(top.pid, "RssAnon")], spent[0]
    while process.poll() is None:
        try:
            senders.append(memory_bytes(pid, "RssAnon"))
            processor = processor_s(pid)
        except (OSError, RuntimeError):
            break  # it ends just now
        tops.append(memory_bytes(top.pid, "RssAnon"))
        time.sleep(_LOOK_S)
    if process.wait(_END_S):
        raise RuntimeError("saltern sync run failed")
    took_s = time.monotonic() - began
    early = max(len(senders) // 10, 1)
    return _Sent(
        top.held("T9")["rows"] - at, took_s, (max(senders), max(senders[:early])), (max(tops), max(tops[:early])),
        (processor - spent[0], processor_s(top.pid) - spent[1]),
    )  # fmt: skip


def _sent_rows(folder: Path, top: TopNode, sent: _Sent) -> Iterator[Row]:
    per_s = sent.rows / sent.seconds
    below, above = (each / sent.rows * 1e6 for each in sent.processor_s)
    raw = _raw_puts(folder, top)
    yield Row(
        f"a backlog of changes sent, {sent.rows:,} of them", per_s, " rows/s", _RATE,
        ours=f"{sent.seconds:.1f} s; processor time a row: sender {below:.1f} µs, top node {above:.1f} µs",
        reference=f"raw LMDB put: {raw:,.0f} rows/s, {per_s / raw:.2f} of it", details=sent._asdict(),
    )  # fmt: skip
    for name, (most, early) in (("sender", sent.sender), ("top node", sent.top)):
        yield Row(
            f"growth of the private memory of the {name}, first tenth to the end", (most - early) / 1e6, " MB", _GROWTH,
            ours=f"{most / 1e6:.1f} MB at most",
        )  # fmt: skip


def _resumed(what: str, seconds: float) -> Row:
    return Row(what, seconds, " s", _RESUME)


def _raw_puts(folder: Path, top: TopNode) -> float:
    """Return how many of the top node's rows a second go into an environment of their own."""
    with lmdb.open(str(top.folder / "data" / "store"), max_dbs=16, readonly=True, lock=True) as held:
        table = held.open_db(b"rows", create=False)
        with held.begin(db=table) as transaction:
            found = list(transaction.cursor())
    place = folder / "raw"
    with lmdb.open(str(place), map_size=1 << 36) as environment:
        began = time.perf_counter()
        for start in range(0, len(found), limits.UPSTREAM_BATCH_ITEMS):
            with environment.begin(write=True) as transaction:
                for key, row in found[start : start + limits.UPSTREAM_BATCH_ITEMS]:
                    transaction.put(key, row)
        took_s = time.perf_counter() - began
    shutil.rmtree(place)
    return len(found) / took_s


# --- commands ---
def _status(node: Node, cores: Cores, count: int) -> Row:
    took_s = _timed(cores, "sync", "status", *_at(node))[0]
    return Row(f"`saltern sync status`, {count:,} changes wait", took_s, " s", _STATUS, ours="all of the command")


def _outage(node: Node, top: TopNode, cores: Cores, count: int) -> Row:
    took_s, told = _timed(cores, "sync", "run", *_at(node))
    rows = top.held("T9")["rows"]
    if rows != count + _OUTAGE:
        raise RuntimeError(f"the top node holds {rows} rows after {told}")
    return Row(
        f"{_OUTAGE:,} changes of an outage drained", took_s, " s", _OUTAGE_S, ours="`sync run`, all of the command"
    )


def _verify(node: Node, cores: Cores) -> Row:
    took_s, told = _timed(cores, "sync", "verify", *_at(node))
    rows = told["tables"]["T9"]["rows"]
    return Row(
        f"`saltern sync verify` over {rows:,} keys", took_s, " s", _VERIFY, ours="all of the command, both equal"
    )


# --- what it takes from others ---
def _beside(folder: Path, node: Node, cores: Cores, count: int, seconds: float) -> Iterator[Row]:
    what = f"p99 of UDP reads at {_READS_PER_S:,}/s while the backlog is sent"
    generators = compile_programs(folder, cores.client)
    if generators is None:
        yield Row(what, None, note=NO_COMPILER)
        return
    path = folder / "requests"
    write_requests(path, (handle_resolution(records.handle(number), keep_alive=False) for number in range(10_000)))
    with node, TopNode(folder / "other", cores.client) as top:
        reads = Traffic("udp", "handle", node.handle_port, path, depth=UDP_DEPTH)
        alone, alone_per_s = _load(generators, reads, node, seconds, "BA")
        _connect(node, top)
        while not top.held("T9")["rows"]:
            time.sleep(_LOOK_S)
        began, at = time.monotonic(), top.held("T9")["rows"]
        sending, sending_per_s = _load(generators, reads, node, seconds, "BS")
        rows, took_s = top.held("T9")["rows"], time.monotonic() - began
    note = "" if rows < count else "the backlog was sent before the loads ended"
    sent = f"sent {(rows - at) / took_s:,.0f} rows/s meanwhile"
    yield Row(
        what, sending.p99_us / 1e3, " ms", _READS, ours=f"p50 {sending.p50_us / 1e3:.2f} ms; {sent}",
        reference=f"alone: p50 {alone.p50_us / 1e3:.2f} ms, p99 {alone.p99_us / 1e3:.2f} ms", note=note,
    )  # fmt: skip
    yield Row(
        "registered while the backlog is sent, beside alone", sending_per_s / alone_per_s,
        ours=f"{sending_per_s:,.0f} records/s in batches of {_BATCH:,}",
        reference=f"alone: {alone_per_s:,.0f} records/s",
    )  # fmt: skip


def _load(generators: Generators, reads: Traffic, node: Node, seconds: float, series: str) -> tuple[Load, float]:
    """Return a load of reads, and then how many records a second are registered."""
    load = generators.run(reads, pid=node.worker, rate=_READS_PER_S, warm_s=WARM_S, measure_s=seconds)
    batches = [
        request(
            "POST", "/v1/records:batch", node.admin(),
            records.dump([records.record(batch * _BATCH + number, series=series) for number in range(_BATCH)]),
        )
        for batch in range(_BATCHES)
    ]  # fmt: skip
    with Connection(node.port) as connection:
        began = time.perf_counter()
        for batch in batches:
            if connection.ask(batch).status != 200:
                raise RuntimeError("a batch was refused")
        took_s = time.perf_counter() - began
    return load.checked(), _BATCHES * _BATCH / took_s


# --- pieces ---
def _connect(node: Node, top: TopNode) -> None:
    key = str(top.folder / "keys" / "top.pub")
    _command("sync", "connect", "--url", top.url, "--key", key, *_at(node))


def _upstream(node: Node) -> str:
    return str(_command("sync", "status", *_at(node))["upstreams"][0]["upstream"])


def _at(node: Node) -> tuple[str, ...]:
    return "--json", "--config", str(node.config)


def _timed(cores: Cores, *arguments: str) -> tuple[float, dict[str, Any]]:
    with on_core(cores.client):
        began = time.monotonic()
        told = _command(*arguments)
    return time.monotonic() - began, told


def _command(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([*_SALTERN, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"saltern {' '.join(arguments)}: {done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout) if "--json" in arguments else {}
    return told
