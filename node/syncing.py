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
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from audit.note import ed25519_key
from audit.reading import LogReadError
from core import clock, limits
from core.config import Config
from core.errors import ConfigError, NodeError, SealError, WireError
from core.store.engine import Batch, Snapshot, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.upstream_rows import LogSent, Upstream, logs_key, pack_logs, unpack_logs, upstreams
from node import VERSION, wiring
from node.escrow import Above
from node.handed import tell_change
from node.keeping import clocks_of
from node.rounds import unless
from node.signing import load_signer
from node.sync_lock import sync_lock
from node.sync_sources import make_sources
from node.upstream_http import HttpCarry
from node.verdicts import tell_verdict
from node.writing import writer
from sync.courier import Courier, Done
from sync.days import drop_days, first_month_kept, make_days
from sync.escrow.sending import DepositCourier
from sync.handing import HandingError, take_back
from sync.link import Asks, Link, Persistent, UpstreamError
from sync.logs import LogCourier
from sync.messages import (
    Answer,
    Checkpoint,
    Connect,
    Cosigned,
    DepositAsk,
    DepositVerdict,
    Made,
    Question,
    Review,
    Verdict,
    Wanted,
)
from sync.monitor.days import make_figures
from sync.reconcile import Comparison, compare
from sync.reviews import WAITING, waiting
from sync.schedule import night_of, retry_s
from sync.source import Source
from sync.standing import link_state, table_state

_LOG: Final = logging.getLogger("saltern.sync")
_FAILED: Final = 1


def hello(config: Config, snapshot: Snapshot, own: Source) -> Connect:
    """Return how this node names itself to a top node. ``own``: T2. Errors: ConfigError, StoreError."""
    prefixes = [key.decode().partition("/")[2] for key, _ in own.rows(snapshot, b"", None)]
    codes = sorted({".".join(prefix.split(".")[:2]) for prefix in prefixes})[: limits.UPSTREAM_CODES_MAX]
    host = wiring.log_host(config)
    vkey = ed25519_key(f"{host}/log", load_signer(config).public_key).vkey
    operator = config.text("about.operator")
    return Connect(config.text("node.prefix"), tuple(codes), operator, f"Saltern {VERSION}", host, vkey)


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


def make_link(config: Config, url: str, public_key: bytes) -> Asks:
    """Return the way to a top node. Errors: ConfigError."""
    tls = client_tls(config) if url.startswith("https:") else None
    carry = HttpCarry(url, tls, clock.monotonic_s)
    link = Link(load_signer(config), public_key, carry, clock.now_us)
    return Persistent(link, clock.pause, random.random)


class Sender:
    """One top node, and when it is asked next."""

    def __init__(self, config: Config, engine: LmdbEngine, upstream: str, row: Upstream) -> None:
        self._config, self._engine = config, engine
        self.row = row
        self.upstream = upstream
        self.sources = make_sources(config)
        self.link = make_link(config, row.url, row.public_key)
        self.courier = Courier(
            engine, upstream, self.link, self.sources, self._hello, now_ms=clock.now_ms
        )  # fmt: skip
        self.tries = 0
        self.ask_at_s = 0.0
        self.connect_at_s = 0.0
        self.reviews_at_s = 0.0
        self.nothing_waits_at = -1
        self.reviewed = 0
        self.told_again_at_s: dict[Review, float] = {}
        self.logs_at_s = 0.0
        self.hand_at_s = 0.0
        self.handing_fault = ""
        self.faults: dict[str, str] = {}

    def _hello(self) -> Connect:
        with self._engine.snapshot() as snapshot:
            return hello(self._config, snapshot, self.sources["T2"])

    def failed(self, now_s: float, chance: Callable[[], float]) -> float:
        """Note that a try failed; return how long nothing is asked."""
        wait_s = retry_s(self.tries, chance)
        self.tries += 1
        self.ask_at_s = now_s + wait_s
        return wait_s


class Syncing:
    """Sends to every top node that this node is connected to."""

    def __init__(self, config: Config, engine: LmdbEngine) -> None:
        self._config = config
        self.engine = engine
        self._senders: dict[str, Sender] = {}
        self._told = ""

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
                    self._tell_faults(sender, sender.courier.round().faults)
                    self._now_and_then(sender)
                    self._reconcile_nightly(sender)
            except NodeError as error:
                wait_s = sender.failed(clock.monotonic_s(), random.random)
                if sender.tries == 1:
                    _LOG.warning("%s；%.1f 秒后重试。Tried again in %.1f s", error.message, wait_s, wait_s)
                continue
            if sender.tries:
                _LOG.warning("上级节点恢复应答。The top node answers again: %s", sender.row.url)
                sender.tries = 0

    @staticmethod
    def _tell_faults(sender: Sender, faults: Mapping[str, str]) -> None:
        """Log what keeps a table from being sent, once."""
        for name, fault in faults.items():
            if sender.faults.get(name) != fault:
                _LOG.error("%s 未报送。%s is not sent: %s", name, name, fault)
        sender.faults.update(faults)  # a table that is not due says nothing

    def send_all(self, sender: Sender) -> Done:
        """Send one top node all that waits. Errors: UpstreamError, RefusalError."""
        self._make_days()
        done = sender.courier.round(force=True)
        self._take_back(sender)
        if self._ask_reviews(sender):
            more = sender.courier.round(force=True)  # what a verdict brought
            done = Done(done.rows + more.rows, more.faults)
        self._send_logs(sender, hurry=True)
        self._send_deposits(sender, hurry=True)
        return done

    def _make_days(self) -> None:
        """Make the statistics of the days that are over."""
        try:
            while make_figures(self.engine, clock.now_ms()):
                pass
            while make_days(self._config.data, self.engine, clock.now_ms()):
                pass
            clocks = clocks_of(self._config, clock.now_ms())
            drop_days(self.engine, first_month_kept(clocks, self._config.integer("log.retention")))
        except (LogReadError, OSError) as error:
            if str(error) != self._told:
                _LOG.error("统计数据未生成。The statistics of a day are not made: %s", error)
            self._told = str(error)

    def _ask_reviews(self, sender: Sender) -> int:
        """Ask for the verdicts on the prefixes that wait for one; return how many there were."""
        with self.engine.snapshot() as snapshot:
            if snapshot.serial() == sender.nothing_waits_at:
                return 0
            serial, reviews = snapshot.serial(), waiting(snapshot)
        if not reviews:
            sender.nothing_waits_at = serial
            return 0
        sender.courier.send(sender.sources["T6"])  # whom they are for is judged, too
        verdicts = 0
        with writer(self._config, self.engine) as write:
            for review in reviews[sender.reviewed : sender.reviewed + limits.UPSTREAM_REVIEWS_ASKED]:
                verdict = sender.link.ask(review, Verdict)
                if verdict.verdict != WAITING and clock.monotonic_s() >= sender.told_again_at_s.get(review, 0.0):
                    result = tell_verdict(write, review, verdict, sender.upstream)
                    verdicts += result.done
                    if not result.done:  # the party may not have it now: each try is an entry of the journal
                        sender.told_again_at_s[review] = clock.monotonic_s() + limits.UPSTREAM_REFUSED_RETRY_S
        behind = sender.reviewed + limits.UPSTREAM_REVIEWS_ASKED
        sender.reviewed = behind if behind < len(reviews) else 0
        return verdicts

    def _send_logs(self, sender: Sender, *, hurry: bool = False) -> None:
        """Bring up checkpoints, and months that are over. Errors: UpstreamError, RefusalError."""
        key = logs_key(sender.upstream)

        def keep(sent: Mapping[str, LogSent]) -> None:
            batch = Batch()
            batch.put(Table.SYNC_TABLES, key, pack_logs(sent))
            self.engine.commit(batch)

        with self.engine.snapshot() as snapshot:
            logs = LogCourier(self._config.data / "log", unpack_logs(snapshot.get(Table.SYNC_TABLES, key)), keep)
        if hurry:
            logs.hurry()
        most_s = limits.UPSTREAM_LOG_S_MAX if hurry else limits.UPSTREAM_LOG_S
        until_s = clock.monotonic_s() + most_s  # then tables in real time have their turn
        try:
            while clock.monotonic_s() < until_s and logs.step(partial(_ask_of_logs, sender.link), clock.now_ms()):
                pass
        except (WireError, OSError) as error:
            raise UpstreamError(str(error)) from None

    def _send_deposits(self, sender: Sender, *, hurry: bool = False) -> None:
        """Bring up deposits, and ask what became of them. Errors: UpstreamError, RefusalError, StoreError."""
        if self._config.file("escrow.to_key") is None:
            return
        above = Above(self._config, self.engine, sender.upstream)
        deposits = DepositCourier(above.folders, above.sent(), above.keep)
        if hurry:
            deposits.hurry()
        until_s = clock.monotonic_s() + (limits.UPSTREAM_LOG_S_MAX if hurry else limits.UPSTREAM_LOG_S)
        try:
            while clock.monotonic_s() < until_s and deposits.step(
                partial(_ask_of_deposits, sender.link), clock.now_ms()
            ):
                pass
        except (WireError, OSError) as error:
            raise UpstreamError(str(error)) from None

    def bring_together(self, sender: Sender) -> None:
        """Have tables that wait for the operator sent whole, and then all that waits. Errors: as ``send_all``."""
        sender.courier.round(force=True)
        with self.engine.snapshot() as snapshot:
            ahead = [name for name in sender.sources if table_state(snapshot, sender.upstream, name).ahead]
        for name in ahead:
            sender.courier.send_whole(sender.sources[name])
        if ahead:
            sender.courier.round(force=True)

    def _now_and_then(self, sender: Sender) -> None:
        """Do what need not be done each round."""
        now_s = clock.monotonic_s()
        if now_s >= sender.connect_at_s:  # a top node that lost its store is found, be there nothing to send
            sender.connect_at_s = now_s + limits.UPSTREAM_CONNECT_S
            sender.courier.connect()
            sender.hand_at_s = 0.0
        if now_s >= sender.hand_at_s:
            sender.hand_at_s = now_s + (limits.HANDED_ASK_S if self._take_back(sender) else limits.HANDED_LOOK_S)
        if now_s >= sender.reviews_at_s:
            sender.reviews_at_s = now_s + limits.UPSTREAM_REVIEW_S
            self._ask_reviews(sender)
        if now_s >= sender.logs_at_s:
            sender.logs_at_s = now_s + limits.UPSTREAM_LOGS_S
            self._make_days()
            self._send_logs(sender)
            self._send_deposits(sender)

    def _take_back(self, sender: Sender) -> bool:
        """Take over what was registered above while it answered for this node; return whether it still does."""
        fault, on = "", True
        try:
            on = take_back(self.engine, sender.upstream, sender.link, partial(self._tell_change, sender), clock.now_ms)
        except HandingError as error:  # others are sent meanwhile, and it is asked for again
            fault = error.message
        if fault and fault != sender.handing_fault:
            _LOG.error("%s", fault)
        sender.handing_fault = fault
        return on

    def _tell_change(self, sender: Sender, takeover: str, made: Made) -> None:
        with writer(self._config, self.engine) as write:
            tell_change(write, sender.upstream, takeover, made)

    def _reconcile_nightly(self, sender: Sender) -> None:
        now_ms = clock.now_ms()
        with self.engine.snapshot() as snapshot:
            verified_ms = link_state(snapshot, sender.upstream).verified_ms
        if night_of(now_ms) <= verified_ms <= now_ms:  # a later time was set by another clock
            return
        sender.courier.round(force=True)
        differing = 0
        for name, source in sender.sources.items():
            try:
                found = self._differing(sender, source)
                put_right(sender, source, found)
            except (ConfigError, SealError) as error:  # it is told, and the others are compared
                _LOG.error("%s 未对账。%s is not compared: %s", name, name, error.message)
                continue
            differing += len(found.differences)
            if found.fault:
                _LOG.error("%s 未对账。%s is not compared: %s", name, name, found.fault)
        sender.courier.note_verified(differing)
        if differing:
            _LOG.warning("对账：补发 %d 行。Reconciled: %d rows were sent again", differing, differing)

    def _differing(self, sender: Sender, source: Source) -> Comparison:
        """Compare a table; what differs once only was written meanwhile. Errors: UpstreamError, RefusalError."""
        with self.engine.snapshot() as snapshot:
            found = compare(snapshot, source, sender.link)
        if not found.differences:
            return found
        sender.courier.send(source)
        keys = {each.key for each in found.differences}
        with self.engine.snapshot() as snapshot:
            again = compare(snapshot, source, sender.link)
        return again._replace(differences=tuple(each for each in again.differences if each.key in keys))


def _ask_of_logs(link: Asks, question: Question) -> Answer:
    return link.ask(question, Cosigned if isinstance(question, Checkpoint) else Wanted)


def _ask_of_deposits(link: Asks, question: Question) -> Answer:
    return link.ask(question, DepositVerdict if isinstance(question, DepositAsk) else Wanted)


def put_right(sender: Sender, source: Source, found: Comparison) -> None:
    """Send again what differs. Errors: UpstreamError, RefusalError."""
    keys = [each.key for each in found.differences]
    while keys:
        del keys[: sender.courier.send_rows(source, keys[: limits.UPSTREAM_BATCH_ITEMS])]


async def keep_syncing(config: Config, engine: LmdbEngine, stopping: asyncio.Event) -> None:
    """Run rounds until it is told to stop. A failure that is not expected ends the process."""
    syncing = Syncing(config, engine)
    told = ""
    while not stopping.is_set():
        try:
            await unless(stopping, asyncio.to_thread(syncing.round), limits.UPSTREAM_ROUND_S)
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
