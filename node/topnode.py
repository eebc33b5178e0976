"""``saltern topnode serve``: the reference top node, one process. Here its objects meet.

1. The data folder's lock is taken; a second one on the same data is refused.
2. The event loop takes HTTP and the Handle protocol. The store is written and read in one thread beside it; answers
   over the Handle protocol read it themselves, some µs each.
3. The first line on standard output is the ready line, as the node's.
4. SIGTERM and SIGINT: nothing more is accepted, what is under way ends, exit code 0.

It keeps no resolution log: it refers. While a takeover is on it answers from the copy of the node, and counts that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from random import SystemRandom
from typing import Any, Final

import uvloop
from aiohttp import web

from audit.note import NoteKey
from audit.witness import Witness
from audit.witness_state import FileState
from core import clock, limits
from core.admission import Identity
from core.config import Config
from core.errors import ConfigError, NodeError, ResponsibilityError
from core.hdl.dialogues import Dialogues
from core.hdl.proof import Proof
from core.signature import Signer, key_id
from core.store.homing import FOREIGN
from core.store.run_store import RunStore
from core.wire.codepoints import Version
from node import wiring
from node.handle_service import HandleService
from node.handle_tcp import TcpFront
from node.handle_udp import UdpFront
from node.listening import listeners, paired_listeners, port_of
from node.lock import DataLock
from node.topnode_front import TopFront
from node.topnode_handles import TopHandleApi
from node.topnode_keys import load_top_signer, top_witness_key
from node.topnode_probes_front import ProbesFront
from node.topnode_probing import Probing, in_thread, probe_terms
from node.topnode_serving import Serving
from node.topnode_settings import topnode_data
from node.topnode_standin import Standin
from node.topnode_store import has_copy, open_takeovers, open_top_store, require_data
from node.topnode_witness import NodesWitness, log_takers
from node.turn import Turn
from node.witness_front import witness_application
from registry.commands import Origin
from resolver.ratelimit import RateLimit, shared_table
from sync.tables import TABLES, check_row
from sync.topnode.desk import TopDesk, never
from sync.topnode.logs import WITNESS, LogDesk
from sync.topnode.misbehave import Misbehaviour, Plan
from sync.topnode.probe_desk import ProbeDesk, Terms
from sync.topnode.referral import Server
from sync.topnode.store import TopStore
from sync.topnode.takeover import Takeovers

_LOG: Final = logging.getLogger("saltern.topnode")
_EXEMPT: Final = tuple(map(ip_network, limits.RATE_EXEMPT))


def serve_topnode(config: Config, spec: str | None) -> int:
    """Run a top node until it is told to stop; return the exit code. ``spec``: how to misbehave, None: not at all.

    Errors: ConfigError, StoreError.
    """
    misbehaviour = None if spec is None else Misbehaviour(spec, SystemRandom())
    signer = load_top_signer(config)
    witness = top_witness_key(config, signer.public_key)
    tls = top_tls_context(config)
    terms = probe_terms(config, key_id(signer.public_key))
    require_data(config)
    lock = DataLock(topnode_data(config))
    try:
        with (
            contextlib.closing(open_top_store(config)) as store,
            contextlib.closing(open_takeovers(config)) as takeovers,
        ):
            store.check_readers()
            with contextlib.closing(Standin(config, store, takeovers, _EXEMPT)) as standin:
                top = _TopNode(config, store, takeovers, terms, signer, witness, misbehaviour, standin)
                uvloop.run(top.run(tls))
    finally:
        lock.close()
    return 0


def top_tls_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context, None if no certificate is configured; mutual TLS with https.client_ca.

    Errors: ConfigError.
    """
    context = wiring.tls_context(config)
    authorities = config.file("https.client_ca")
    if authorities is None:
        return context
    if context is None:
        raise ConfigError(
            "https.client_ca: 未配置 https.certificate。It needs https.certificate", setting="https.client_ca"
        )
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"https.client_ca: {authorities}: {error}", setting="https.client_ca") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class _TopNode:
    """All of it, with its sockets open."""

    def __init__(  # noqa: PLR0917
        self, config: Config, store: TopStore, takeovers: Takeovers, terms: Terms, signer: Signer, witness: NoteKey,
        misbehaviour: Misbehaviour | None, standin: Standin,
    ) -> None:  # fmt: skip
        self._config = config
        self._store = store
        self._takeovers = takeovers
        self._terms = terms
        self._probes = ProbeDesk(store, takeovers, terms, lambda node_id: has_copy(config, node_id))
        address = config.text("http.address")
        self._http = listeners(address, config.integer("http.port"), 1, "http.port")[0]
        self._https: socket.socket | None = None
        if config.file("https.certificate") is not None:
            self._https = listeners(address, config.integer("https.port"), 1, "https.port")[0]
        (self._tcp,), (self._udp,) = paired_listeners(
            config.text("handle.address"), config.integer("handle.port"), 1, "handle.port"
        )
        data = topnode_data(config)
        logs = LogDesk(data, witness, signer.sign_note)
        nobody = Witness(witness, signer.sign_note, (), FileState(data / WITNESS))
        self._witness = NodesWitness(store, logs, nobody)
        self._misbehaviour = misbehaviour
        self._standin = standin
        self._desk = TopDesk(
            store, signer, config.text("top.name"), enrol_open=config.text("enrol") == "open",
            review=config.text("review"), check=_faults, tables=TABLES,
            takers={**log_takers(logs), **standin.takers},
            refuse=never if misbehaviour is None else misbehaviour.refuses,
        )  # fmt: skip

    async def run(self, tls: ssl.SSLContext | None) -> None:
        """Serve until SIGTERM or SIGINT."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        with ThreadPoolExecutor(1, "store") as thread:
            serving = self._standin.serving(self._own(), self._owner_of)
            runner = await self._serve_http(thread, tls, serving)
            udp, tcp = await self._serve_handles(serving)
            self._standin.start()
            ready = self._ready_line()
            print(ready, flush=True)
            _LOG.info("ready: %s", ready)
            probing = asyncio.create_task(self._probing(thread))
            probing.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
            udp.close()
            await tcp.drain()
            await runner.cleanup()

    async def _probing(self, thread: ThreadPoolExecutor) -> None:
        """Probe the nodes below until it is cancelled."""
        if not self._terms.period_ms:
            await asyncio.Event().wait()
        count = self._config.integer("probe.probes")
        await Probing(self._probes, in_thread(thread), self._terms, count, clock.now_ms).run()

    async def _serve_http(
        self, thread: ThreadPoolExecutor, tls: ssl.SSLContext | None, serving: Serving
    ) -> web.AppRunner:  # fmt: skip
        admits = _rate_limit()
        front = TopFront(self._desk, self._store, TABLES, thread, admits=admits, now_ms=clock.now_ms, plan=self._plan())
        application = front.application()
        ProbesFront(self._probes, self._store, self._takeovers, in_thread(thread), clock.now_ms).add_to(application)
        self._standin.front(serving, thread).add_to(application)
        application.add_subapp("/witness", witness_application(self._witness, clock.now_s))
        runner = web.AppRunner(
            application, access_log=None, handle_signals=False, keepalive_timeout=limits.HTTP_IDLE_S,
            shutdown_timeout=limits.DRAIN_S, max_line_size=limits.HTTP_HEAD_BYTES_MAX,
            max_field_size=limits.HTTP_HEAD_BYTES_MAX,
        )  # fmt: skip
        await runner.setup()
        await web.SockSite(runner, self._http).start()
        if self._https is not None:
            await web.SockSite(runner, self._https, ssl_context=tls).start()
        return runner

    def _plan(self) -> Callable[[], Plan]:
        return Plan if self._misbehaviour is None else self._misbehaviour.plan

    async def _serve_handles(self, serving: Serving) -> tuple[UdpFront, TcpFront]:
        run = topnode_data(self._config) / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(mode=0o700)
        turn = Turn(_NoLog(), lambda outcome, count: None, lambda: None)
        dialogues = Dialogues(RunStore(run / "dialogues"), clock.now_ms)
        service = HandleService(
            (TopHandleApi(self._row_of, self._own(), serving.answer),), _NoProver(), dialogues,
            server_key=None, site_serial=1, sessions_offered=False, require_here=_require_here, notes=_NoNotes(),
        )  # fmt: skip
        udp = UdpFront(service, turn, _rate_limit(), limits.UDP_ANSWER_BYTES, _count)
        tcp = TcpFront(service, turn, _rate_limit(), _count)
        udp.listen(self._udp)
        await tcp.listen(self._tcp)
        return udp, tcp

    def _owner_of(self, prefix: bytes) -> str | None:
        route = self._store.route(prefix)
        return None if route is None else route.node_id

    def _row_of(self, prefix: bytes) -> bytes | None:
        route = self._store.route(prefix)
        return None if route is None else route.row

    def _own(self) -> Server:
        port = port_of(self._tcp)
        address = self._config.text("handle.site_address") or self._config.text("handle.address")
        try:
            return Server(ip_address(address), (port, port, None))
        except ValueError:
            raise ConfigError(
                f"handle.site_address: {address!r} 不是 IP 地址。It is no address", setting="handle.site_address"
            ) from None

    def _ready_line(self) -> str:
        return json.dumps(
            {
                "ready": True,
                "http": port_of(self._http),
                "https": None if self._https is None else port_of(self._https),
                "handle": port_of(self._tcp),
                "dns": None,
                "management": None,
                "pid": os.getpid(),
            }
        )


def _faults(table: str, key: bytes, row: bytes) -> list[tuple[str, str, str]]:
    """Return rule and words of what is wrong with a row."""
    return [(fault.rule, fault.zh, fault.en) for fault in check_row(TABLES[table], key, row)]


def _rate_limit() -> Callable[[bytes], bool]:
    return RateLimit(limits.RATE_PER_S, shared_table(), _EXEMPT, clock.monotonic_ns).admits


def _count(_: int) -> None:
    """Messages are not counted here."""


def _require_here(_: str) -> None:
    raise ResponsibilityError(FOREIGN)


class _NoLog:
    """See Spool. Resolution is logged by the node; what is answered from its copy is counted (``Serving``)."""

    def write(self, rows: Any) -> bool:
        return True


class _NoProver:
    """See Prover. Nobody has rights here that he could prove."""

    async def proves(self, proof: Proof, version: Version, *, for_others: bool = False) -> bytes | None:
        return None

    def still(self, identity: Identity, mark: bytes) -> bool:
        return False


class _NoNotes:
    """See Notes. Nobody logs in here."""

    async def failed(self, error: NodeError, origin: Origin) -> None:
        return None

    async def logged_in(self, identity: Identity, origin: Origin) -> None:
        return None
