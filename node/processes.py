"""What each process of a running node does, after it was forked.

A child opens the store once, tells the supervisor that it is ready by one octet on a
pipe (or why it cannot be, as text), and serves until SIGTERM. It ends with the
supervisor, however that ended (PDEATHSIG): recovery is the normal path.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import uvloop
from aiohttp import web

from audit.places import FOLDER as LOG_FOLDER
from audit.places import SPOOL_FOLDER
from audit.sequencer import Round
from core import clock, limits
from core.config import Config
from core.disk import free_bytes
from core.errors import NodeError, Outcome
from core.outcomes import STATUSES
from core.store.engine import StorePanicError
from core.store.lmdb_engine import LmdbEngine
from core.store.run_store import RunStore
from core.store.zone_row import adopt_zone_settings
from node import serving, telemetry, wiring
from node.backing_up import Backups
from node.dns_settings import settings_digest
from node.duties import load_duties
from node.escrowing import Deposits
from node.http_front import PlainResponse
from node.keeping import drop_logs
from node.log_keeper import Clocks, LogKeeper
from node.mirroring import keep_mirror
from node.monitor_metrics import MonitorMetrics
from node.monitoring import Monitoring, keep_monitoring
from node.probe_metrics import ProbeMetrics
from node.probing import make_probing
from node.seconds import Seconds
from node.sequencing import make_sequencer
from node.serving import Rates
from node.site import Ports
from node.sync_metrics import SyncMetrics
from node.sync_sources import make_sources
from node.syncing import keep_syncing
from node.telemetry import Counters
from node.watching import make_watching
from node.witness import LogWitness, load_witness
from registry.registrar import bind_socket

if TYPE_CHECKING:
    from node.notify import Notifier

_LOG: Final = logging.getLogger("saltern.node")
_PR_SET_PDEATHSIG: Final = 1
READY: Final = b"\x01"
_FAILED: Final = 1
_SYNC_NICE: Final = 5  # who resolves and registers comes first; not more, for it holds the store's writer lock at times
_PANIC: Final = 70


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the supervisor ends. Linux only; elsewhere a no-op."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:  # it ended before the call
        os._exit(_FAILED)


class Child:
    """The frame of every process: ready pipe, SIGTERM, one event loop."""

    def __init__(self, name: str, ready: int) -> None:
        self.name = name
        self._ready = ready

    def run(self, main: Callable[[Child], Awaitable[None]]) -> int:
        """Run the process to its end; return the exit code."""
        try:
            uvloop.run(self._main(main))
        except NodeError as error:
            _LOG.error("%s: %s", self.name, error.diagnostics())
            self.tell(error.message.encode())
            return _FAILED
        except StorePanicError as error:
            _LOG.critical("%s: the store cannot be used any more: %s", self.name, error)
            return _PANIC
        return 0

    async def _main(self, main: Callable[[Child], Awaitable[None]]) -> None:
        self.stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stopping.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor decides
        await main(self)

    def tell(self, message: bytes = READY) -> None:
        """Tell the supervisor that this process is ready, or why it is not."""
        try:
            os.write(self._ready, message)
        except OSError:
            _LOG.debug("%s: nobody reads whether it is ready", self.name)


async def run_registrar(child: Child, config: Config) -> None:
    """The one process that writes business data."""
    store = wiring.open_store(config)
    adopt_zone_settings(store, settings_digest(config), clock.now_ms())
    run = wiring.run_folder(config)
    registrar = serving.make_registrar(config, store, Counters(run, child.name), Seconds(run, child.name))
    listener = bind_socket(run)
    server = await asyncio.get_running_loop().create_unix_server(registrar.connection, sock=listener)
    gc.freeze()  # what is there now stays; groups make much that is gone after the commit
    gc.set_threshold(100_000, 20, 20)
    child.tell()
    await registrar.run(child.stopping)
    server.close()
    registrar.close()
    store.close()


class Sockets(NamedTuple):
    """The sockets of one worker, bound; those of streams listen."""

    http: socket.socket
    https: socket.socket | None
    handle_tcp: socket.socket
    handle_udp: socket.socket
    dns_tcp: socket.socket | None
    dns_udp: socket.socket | None


async def run_worker(child: Child, config: Config, ports: Ports, sockets: Sockets, rates: Rates) -> None:
    """A worker: resolves, proves identities, passes changes on."""
    store = wiring.open_store(config, read_only=True)
    run = serving.open_run_store(config)
    spool = serving.make_spool(config, child.name)
    counters = Counters(wiring.run_folder(config), child.name)
    seconds = Seconds(wiring.run_folder(config), child.name)
    fronts = serving.make_fronts(config, store, run, spool, counters, seconds=seconds, ports=ports, rates=rates)
    await fronts.quick.listen(sockets.http, None)
    if sockets.https is not None:
        await fronts.quick.listen(sockets.https, wiring.tls_context(config))
    await fronts.tcp.listen(sockets.handle_tcp)
    fronts.udp.listen(sockets.handle_udp)
    if sockets.dns_tcp is not None and sockets.dns_udp is not None:
        await fronts.dns_tcp.listen(sockets.dns_tcp)
        fronts.dns_udp.listen(sockets.dns_udp)
    child.tell()
    await child.stopping.wait()
    fronts.udp.close()
    fronts.dns_udp.close()
    if fronts.recursion is not None:
        await fronts.recursion.close()
    await asyncio.gather(fronts.quick.drain(), fronts.http.drain(), fronts.tcp.drain(), fronts.dns_tcp.drain())
    spool.close()
    run.close()
    store.close()


async def run_sync(child: Child, config: Config) -> None:
    """What sends top nodes what they are owed; beside the keeper, so that the logs never wait for an upstream."""
    os.nice(_SYNC_NICE)
    store = wiring.open_store(config)
    gc.freeze()
    child.tell()
    await keep_syncing(config, store, child.stopping)
    store.close()


async def run_monitor(child: Child, config: Config) -> None:
    """What measures the node; it goes on when the registrar hangs, and when an upstream does."""
    os.nice(_SYNC_NICE)
    store = wiring.open_store(config)
    watching = make_watching(config, store, clock.now_ms)
    period_s = config.integer("monitor.probe_interval")
    monitoring = Monitoring(store, wiring.run_folder(config), period_s, watching)
    probing = make_probing(config, store) if period_s else None
    gc.freeze()
    child.tell()
    await keep_monitoring(monitoring, child.stopping, probing)
    watching.stopped()
    store.close()


async def run_keeper(child: Child, config: Config, management: socket.socket) -> None:
    """What must be single: the logs, metrics, the slots of readers that were killed, dialogues whose time is over."""
    store = wiring.open_store(config)
    counters = Counters(wiring.run_folder(config), child.name)
    sequencer = make_sequencer(config, store)
    clocks = Clocks(clock.now_ms, clock.monotonic_s)
    keeping = LogKeeper(sequencer, clocks, partial(drop_logs, config, store), counters.log_round_failed)
    witness = load_witness(config, keeping.note)
    upstream = SyncMetrics(store, partial(make_sources, config), clock.now_ms)
    measured = MonitorMetrics(store, clock.now_ms)
    probed = ProbeMetrics(wiring.run_folder(config), clock.now_ms)
    backups = Backups(config, clock.now_ms, keeping.note)
    escrow = Deposits(config, store, clock.now_ms)
    notifier = _load_notifier(config, store)
    others = (each for each in (witness, notifier) if each is not None)
    watched = (keeping, upstream, measured, probed, backups, escrow, *others)
    run = serving.open_run_store(config)
    runner = web.ServerRunner(web.Server(_management(config, store, *watched), access_log=None))
    await runner.setup()
    await web.SockSite(runner, management).start()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)  # rounds of the sequencer make much that is gone with them
    child.tell()
    duties = [
        asyncio.create_task(_keep_logs(keeping, child, config)),
        asyncio.create_task(keep_mirror(config, child.stopping)),
        asyncio.create_task(backups.keep(child.stopping)),
        asyncio.create_task(escrow.keep(child.stopping)),
    ]
    if notifier is not None:
        duties.append(asyncio.create_task(notifier.keep(child.stopping)))
    if witness is not None:
        keeping.published = partial(_tell_published, witness)
        duties.append(asyncio.create_task(witness.run(child.stopping)))
    while not child.stopping.is_set():
        freed = store.check_readers() + run.check_readers()
        _sweep(run)
        if freed:
            _LOG.warning("freed the slots of %d readers that were killed", freed)
        try:
            await asyncio.wait_for(child.stopping.wait(), limits.READER_CHECK_S)
        except TimeoutError:
            continue
    await asyncio.gather(*duties)
    await runner.cleanup()
    sequencer.close()
    run.close()
    store.close()


def _load_notifier(config: Config, store: LmdbEngine) -> Notifier | None:
    """Return what tells secondaries of DNS, None where there are none: then nothing that it needs is imported."""
    if not config.items("dns.secondaries"):
        return None
    from node.notify import make_notifier

    return make_notifier(config, store)


def _tell_published(witness: LogWitness, done: Round) -> None:
    for stream, month in done.published:
        witness.published(stream, month)


async def _keep_logs(keeping: LogKeeper, child: Child, config: Config) -> None:
    """Publish the logs. A failure that is not expected ends the process: the supervisor starts another one."""
    try:
        _adopt_spool(config)
        await asyncio.to_thread(keeping.begin, config, _name_of_start(config))
        await keeping.keep(child.stopping)
    except Exception:
        _LOG.exception("the logs are not published")
        os._exit(_FAILED)


def _name_of_start(config: Config) -> str:
    """Return what names this start of the node: the first keeper makes it, the next ones find it."""
    path = wiring.run_folder(config) / "start"
    name = path.read_text() if path.exists() else ""
    if not name:
        name = secrets.token_hex(8)
        path.write_text(name)
    return name


def _adopt_spool(config: Config) -> None:
    """Move the segments of an earlier version where they lie now."""
    earlier, folder = config.data / LOG_FOLDER / SPOOL_FOLDER, config.data / SPOOL_FOLDER
    if earlier.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in earlier.iterdir():
            path.rename(folder / path.name)
        earlier.rmdir()


def _sweep(run: RunStore) -> None:
    try:
        run.sweep(clock.now_ms())
    except NodeError as error:
        _LOG.error("challenges and sessions are not swept: %s", error.message)


def _management(
    config: Config, store: LmdbEngine, *others: telemetry.Collects
) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    policy, licence = wiring.policy(config), load_duties(config).licence
    collector = telemetry.Collector(
        wiring.run_folder(config), store, lambda party: policy.is_overdue(party, clock.now_ms()),
        lambda: None if licence is None else licence.days_left(clock.now_ms()),
        disk=telemetry.Disk(
            lambda: free_bytes(wiring.disks(config)),
            config.integer("log.disk_stop"), config.integer("log.disk_reserve"),
        ),
    )  # fmt: skip

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/metrics":
            return PlainResponse(
                body=telemetry.render(collector, *others), headers={"Content-Type": "text/plain; version=0.0.4"}
            )
        if request.path == "/healthz":
            return PlainResponse(text="ok\n")
        return PlainResponse(status=STATUSES[Outcome.NO_SUCH_ENDPOINT].http, text="/metrics, /healthz\n")

    return answer
