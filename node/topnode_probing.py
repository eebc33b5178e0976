"""Probes of the reference top node: rounds of questions to the nodes below, and the same from elsewhere.

A round begins with a period of the time of day, so that probes elsewhere count the same periods. Each probe asks with
connections of its own. What a round found is judged in the thread of the store (``sync/topnode/probe_desk.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from audit.note import ED25519, NoteError, parse_vkey
from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import ConfigError, NodeError
from node import probes
from sync.monitor.observation import Observation, Way
from sync.topnode.probe_desk import OWN, Terms
from sync.topnode.probe_plan import Target
from sync.topnode.takeover_rows import Event

_LOG: Final = logging.getLogger("saltern.topnode")
_ASK: Final = {Way.UDP: probes.probe_udp, Way.TCP: probes.probe_tcp, Way.HTTP: probes.probe_http}


class Desk(Protocol):
    """See ``sync.topnode.probe_desk.ProbeDesk``."""

    def begin(self) -> list[Target]:
        """Return whom a round asks. Errors: StoreError."""

    def end(self, period: int, found: dict[str, list[Observation]], now_ms: Millis) -> list[Event]:
        """End a round; return what changed. Errors: StoreError."""


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs work in the thread of the store."""


def in_thread(thread: ThreadPoolExecutor) -> InThread:
    """Return what runs work in a thread, and waits for it."""

    async def run(work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    return run


def probe_terms(config: Config, to: str) -> Terms:
    """Return how is probed. ``to``: key id of the top node. Errors: ConfigError."""
    period_ms, limit_ms = config.integer("probe.period") * 1_000, config.integer("probe.limit")
    if 0 < period_ms < 2 * limits.PROBE_LATE * limit_ms:
        raise ConfigError(
            f"probe.limit: 时限的 {limits.PROBE_LATE} 倍超过 probe.period 的一半。"
            f"{limits.PROBE_LATE} times {limit_ms} ms is more than half of probe.period",
            setting="probe.limit",
        )
    path = config.file("probe.keys")
    return Terms(period_ms, limit_ms, {} if path is None else read_probe_keys(path), to)


def read_probe_keys(path: Path) -> dict[str, bytes]:
    """Return the public keys of probes elsewhere, by name. Lines that begin with # are for people.

    Bounds: PROBE_KEYS_MAX. Errors: ConfigError.
    """
    try:
        with path.open("rb") as file:
            text = file.read(limits.PROBE_KEYS_BYTES_MAX + 1).decode()
    except OSError as error:
        raise ConfigError(f"probe.keys: 无法读取 {path}。Cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"probe.keys: {path} 不是文本。{path} is no text") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(text) > limits.PROBE_KEYS_BYTES_MAX or len(lines) > limits.PROBE_KEYS_MAX:
        raise ConfigError(f"probe.keys: {path} 过长。There are more than {limits.PROBE_KEYS_MAX} keys in {path}")
    keys: dict[str, bytes] = {}
    for line in lines:
        try:
            key = parse_vkey(line)
            if key.kind != ED25519 or len(key.name) > limits.PROBE_NAME_CHARS_MAX:
                raise NoteError("the key is none of a probe")
        except NoteError as error:
            raise ConfigError(f"probe.keys: {path}: 密钥有误。A key is wrong: {error}") from None
        if key.name in keys or key.public in keys.values() or key.name.startswith(OWN):
            raise ConfigError(f"probe.keys: {path}: 名称或密钥重复。The name or key is taken: {key.name}")
        keys[key.name] = key.public
    return keys


async def ask(targets: list[Target], place: int, period: int, at_ms: Millis, limit_ms: int) -> list[Observation]:
    """Ask all nodes on all ways, as one probe. ``place``: of the probe among all. Bounds: TOPNODE_PROBES_AT_ONCE."""
    gate = asyncio.Semaphore(limits.TOPNODE_PROBES_AT_ONCE // limits.TOPNODE_PROBES)

    async def one(target: Target, way: Way) -> Observation:
        server = probes.Server(*target.door(way, period, place))
        async with gate:
            if way is Way.REGISTRATION:
                found = await probes.probe_registration(server, limit_ms)
            else:
                found = await _ASK[way](server, target.node.prefix, limit_ms)
        return Observation(target.node.node_id, way, at_ms, found.rtt_us, found.fault)

    return await asyncio.gather(*(one(target, way) for target in targets for way in target.doors))


class Probing:
    """Rounds without end. ``count``: how many probes ask."""

    def __init__(
        self, desk: Desk, in_thread: InThread, terms: Terms, count: int, now_ms: Callable[[], Millis]
    ) -> None:  # fmt: skip
        self._desk = desk
        self._in_thread = in_thread
        self._terms = terms
        self._count = count
        self._now_ms = now_ms

    async def run(self) -> None:
        """Probe until it is cancelled."""
        last = -1
        while True:
            now_ms = self._now_ms()
            period, gone_ms = divmod(now_ms, self._terms.period_ms)
            if period == last:
                await asyncio.sleep((self._terms.period_ms - gone_ms) / 1_000)
                continue
            last = period
            try:
                await self._round(period, now_ms)
            except (NodeError, OSError) as error:
                _LOG.error("a round of probes is lost: %s", error)

    async def _round(self, period: int, at_ms: Millis) -> None:
        targets = await self._in_thread(self._desk.begin)
        asked = [ask(targets, place, period, at_ms, self._terms.limit_ms) for place in range(self._count)]
        found = {f"{OWN}{place}": told for place, told in enumerate(await asyncio.gather(*asked), start=1)}
        for event in await self._in_thread(lambda: self._desk.end(period, found, self._now_ms())):
            _LOG.warning(
                "%s (%s): %s -> %s%s: %s", event.prefix, event.node_id, event.before.value, event.after.value,
                f" {event.takeover}" if event.takeover else "", event.reason,
            )  # fmt: skip
