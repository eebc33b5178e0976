"""HTTP of one worker inside the test's own event loop: the quick way, and aiohttp alone, on one store."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from core import clock
from core.config import load
from core.records import Values
from core.store.lmdb_engine import LmdbEngine
from node import wiring
from node.initialise import initialise
from node.seconds import Seconds
from node.serving import Fronts, make_fronts, make_rates, make_spool, open_run_store
from node.site import Ports
from node.telemetry import Counters
from registry.commands import OPERATOR, Put, Request
from tests.kit.lots import KEY_FILE, put_lot

PREFIX = "88.118.7"
LOT = f"{PREFIX}/L1"
LOOK_S = 20


class Served(NamedTuple):
    """What is served. ``quick``, ``slow``: the addresses of both ways."""

    fronts: Fronts
    store: LmdbEngine
    quick: Any
    slow: Any


@contextlib.asynccontextmanager
async def serving(folder: Path, records: Mapping[str, Values], *, tls: bool = False) -> AsyncIterator[Served]:
    """Serve records and a lot by the quick way and by aiohttp alone; drain at the end."""
    config = initialise(folder / "node", (PREFIX,))
    (folder / "node" / "keys" / "lots.keys").write_text(KEY_FILE)
    store, run, spool = wiring.open_store(config), None, make_spool(config, "w")
    wiring.run_folder(config).mkdir()
    try:
        requests = [Request(Put(handle, values), OPERATOR) for handle, values in records.items()]
        assert all(result.done for result in wiring.make_registry(config, store).run(requests, clock.now_ms()))
        put_lot(wiring.make_registry(config, store), LOT, f"{PREFIX}/SKU01", clock.now_ms())
        run = open_run_store(config)
        counters, ports = Counters(wiring.run_folder(config), "w"), Ports(1, 2, 3, 4)
        seconds = Seconds(wiring.run_folder(config), "w")
        fronts = make_fronts(
            config, store, run, spool, counters, seconds=seconds, ports=ports, rates=make_rates()
        )  # fmt: skip
        context = wiring.tls_context(load(config.path)) if tls else None
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=1_024) for _ in range(2)]
        for listener, front in zip(listeners, (fronts.quick, fronts.http), strict=True):
            listener.setblocking(False)
            await front.listen(listener, context)
        yield Served(fronts, store, *(listener.getsockname() for listener in listeners))
        await asyncio.gather(fronts.quick.drain(), fronts.http.drain())
    finally:
        if run is not None:
            run.close()
        spool.close()
        store.close()


def trusting() -> ssl.SSLContext:
    """Return the context of a client that asks nothing of the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds, which it must."""
    async with asyncio.timeout(LOOK_S):
        while not holds():  # noqa: ASYNC110 # what is looked at tells nobody when it changes
            await asyncio.sleep(0)
