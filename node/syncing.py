"""The sending side, joined: top nodes, sources, couriers; and the process of a running node that sends.

A round is run in a thread each UPSTREAM_ROUND_S, under ``data/sync.lock``. A top node that is away is asked again,
later each time; nothing local waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from audit.note import ed25519_key
from core import clock, limits
from core.config import Config
from core.errors import ConfigError, NodeError
from core.store.engine import Engine
from core.store.upstream_rows import Upstream, upstreams
from node import VERSION, wiring
from node.signing import load_signer
from node.sync_lock import sync_lock
from node.sync_sources import make_sources
from node.upstream_http import HttpCarry
from sync.courier import Courier, Done
from sync.link import Link, RefusalError, UpstreamError
from sync.messages import Connect
from sync.reconcile import Comparison, compare
from sync.schedule import night_of, retry_s
from sync.source import Source
from sync.standing import link_state

_LOG: Final = logging.getLogger("saltern.sync")
_FAILED: Final = 1


def hello(config: Config) -> Connect:
    """Return how this node names itself to a top node. Errors: ConfigError."""
    host = wiring.log_host(config)
    vkey = ed25519_key(f"{host}/log", load_signer(config).public_key).vkey
    return Connect(config.text("node.prefix"), config.text("about.operator"), f"Saltern {VERSION}", host, vkey)


def client_tls(config: Config) -> ssl.SSLContext:
    """Return what top nodes are judged by over HTTPS, and what is shown to them. Errors: ConfigError."""
    authority, certificate, key = (config.file(f"sync.{name}") for name in ("ca", "client_certificate", "client_key"))
    try:
        context = ssl.create_default_context(cafile=None if authority is None else str(authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"sync.ca, sync.client_certificate, sync.client_key: {error}") from None
    return context


def make_link(config: Config, url: str, public_key: bytes) -> Link:
    """Return the way to a top node. Errors: ConfigError."""
    tls = client_tls(config) if url.startswith("https:") else None
    carry = HttpCarry(url, tls, clock.monotonic_s)
    return Link(load_signer(config), public_key, carry, clock.now_us)


class Sender:
    """One top node, and when it is asked next."""

    def __init__(self, config: Config, engine: Engine, upstream: str, row: Upstream) -> None:
        self.row = row
        self.upstream = upstream
        self.sources = make_sources(config)
        self.link = make_link(config, row.url, row.public_key)
        self.courier = Courier(
            engine, upstream, self.link, self.sources, lambda: hello(config), now_ms=clock.now_ms
        )  # fmt: skip
        self.tries = 0
        self.ask_at_s = 0.0

    def failed(self, now_s: float, chance: Callable[[], float]) -> float:
        """Note that a try failed; return how long nothing is asked."""
        wait_s = retry_s(self.tries, chance)
        self.tries += 1
        self.ask_at_s = now_s + wait_s
        return wait_s


class Syncing:
    """Sends to every top node that this node is connected to."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self.engine = engine
        self._senders: dict[str, Sender] = {}

    def senders(self) -> list[Sender]:
        """Return those of the top nodes that are connected now. Errors: ConfigError, StoreError."""
        with self.engine.snapshot() as snapshot:
            rows = dict(upstreams(snapshot))
        for upstream in self._senders.keys() - rows.keys():
            del self._senders[upstream]
        for upstream, row in rows.items():
            known = self._senders.get(upstream)
            if known is None or known.row != row:
                self._senders[upstream] = Sender(self._config, self.engine, upstream, row)
        return list(self._senders.values())

    def round(self) -> None:
        """Send what is due to whoever can be reached. Errors: ConfigError, StoreError."""
        for sender in self.senders():
            if clock.monotonic_s() < sender.ask_at_s:
                continue
            try:
                with sync_lock(self._config.data):
                    sender.courier.round()
                    self._reconcile_nightly(sender)
            except (UpstreamError, RefusalError) as error:
                wait_s = sender.failed(clock.monotonic_s(), random.random)
                if sender.tries == 1:
                    _LOG.warning("%s；%.1f 秒后重试。Tried again in %.1f s", error.message, wait_s, wait_s)
                continue
            if sender.tries:
                _LOG.warning("上级节点恢复应答。The top node answers again: %s", sender.row.url)
                sender.tries = 0

    def send_all(self, sender: Sender) -> Done:
        """Send one top node all that waits. Errors: UpstreamError, RefusalError."""
        return sender.courier.round(force=True)

    def bring_together(self, sender: Sender) -> None:
        """Have tables that wait for the operator sent whole, and then all that waits. Errors: as ``send_all``."""
        faults = sender.courier.round(force=True).faults
        for name in faults:
            sender.courier.send_whole(sender.sources[name])
        if faults:
            sender.courier.round(force=True)

    def _reconcile_nightly(self, sender: Sender) -> None:
        now_ms = clock.now_ms()
        with self.engine.snapshot() as snapshot:
            verified_ms = link_state(snapshot, sender.upstream).verified_ms
        if verified_ms >= night_of(now_ms):
            return
        self.send_all(sender)
        differing = 0
        for source in sender.sources.values():
            with self.engine.snapshot() as snapshot:
                found = compare(snapshot, source, sender.link)
            put_right(sender, source, found)
            differing += len(found.differences)
        sender.courier.note_verified(differing)
        if differing:
            _LOG.warning("对账：补发 %d 行。Reconciled: %d rows were sent again", differing, differing)


def put_right(sender: Sender, source: Source, found: Comparison) -> None:
    """Send again what differs. Errors: UpstreamError, RefusalError."""
    keys = [each.key for each in found.differences]
    for start in range(0, len(keys), limits.UPSTREAM_BATCH_ITEMS):
        sender.courier.send_rows(source, keys[start : start + limits.UPSTREAM_BATCH_ITEMS])


async def _unless(stopping: asyncio.Event, round_: Awaitable[None]) -> None:
    """Run a round; one that waits for an answer when the process is to end is left, as if the process were killed."""
    running, stop = asyncio.ensure_future(round_), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not running.done():
        await asyncio.wait({running}, timeout=limits.UPSTREAM_ROUND_S)
    if not running.done():
        os._exit(0)
    await running


async def keep_syncing(config: Config, engine: Engine, stopping: asyncio.Event) -> None:
    """Run rounds until it is told to stop. A failure that is not expected ends the process."""
    syncing = Syncing(config, engine)
    told = ""
    while not stopping.is_set():
        try:
            await _unless(stopping, asyncio.to_thread(syncing.round))
            told = ""
        except NodeError as error:
            if error.message != told:
                _LOG.error("同步暂停。Nothing is sent: %s", error.message)
            told = error.message
        except Exception:
            _LOG.exception("sync failed")
            os._exit(_FAILED)
        try:
            await asyncio.wait_for(stopping.wait(), limits.UPSTREAM_ROUND_S)
        except TimeoutError:
            continue
