"""How a request is run from outside the registrar: by the running node, or on the store where none runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from core import clock
from core.config import Config
from core.store.lmdb_engine import LmdbEngine
from node import wiring
from node.lock import DataLock
from registry.client import BlockingClient
from registry.commands import Request, Result


class Writer(Protocol):
    """Has a request run."""

    def __call__(self, request: Request) -> Result: ...


@contextmanager
def writer(config: Config, engine: LmdbEngine | None = None) -> Iterator[Writer]:
    """Give a way to write: through the running node, or straight into the store if none runs.

    ``engine``: the store, where this process has it open for writing already.
    """
    client = _connect(config)
    if client is not None:
        try:
            yield client.call
        finally:
            client.close()
        return
    lock = DataLock(config.data)
    try:
        store = engine or wiring.open_store(config)
        try:
            registry = wiring.make_registry(config, store)
            yield lambda request: registry.run([_as_here(request)], clock.now_ms())[0]
        finally:
            if engine is None:
                store.close()
    finally:
        lock.close()


def is_running(config: Config) -> bool:
    """Whether a node runs that takes changes."""
    client = _connect(config)
    if client is not None:
        client.close()
    return client is not None


def _as_here(request: Request) -> Request:
    """Return a request as the registrar would take it from its socket."""
    return request._replace(actor=request.actor._replace(uid=os.getuid())) if request.actor.local else request


def _connect(config: Config) -> BlockingClient | None:
    try:
        return BlockingClient(wiring.run_folder(config))
    except OSError:
        return None
