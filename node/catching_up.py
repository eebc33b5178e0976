"""Publishes what a node left that does not run: who asks its logs then is told all that it answered."""

from __future__ import annotations

import os

from core import clock
from core.config import Config
from core.errors import ConfigError, NodeError
from node.lock import DataLock


def publish_waiting(config: Config) -> None:
    """Publish what waits, as the keeper would. Nothing happens where a node runs, or the logs are another user's."""
    try:
        if config.data.stat().st_uid != os.geteuid():
            return  # the node could not go on with files of somebody else
        lock = DataLock(config.data, wait_s=0)
    except (OSError, ConfigError):
        return
    try:
        _publish(config)
    except (OSError, NodeError):
        return  # what still waits is told by who asked
    finally:
        lock.close()


def _publish(config: Config) -> None:
    """Errors: OSError, NodeError."""
    from node import wiring
    from node.sequencing import make_sequencer

    store = wiring.open_store(config)
    try:
        sequencer = make_sequencer(config, store)
        while sequencer.round(clock.now_ms()).more:
            continue
        sequencer.close()
    finally:
        store.close()
