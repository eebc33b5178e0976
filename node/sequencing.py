"""What writes the logs of this node, put together."""

from __future__ import annotations

from audit.entry import Software
from audit.sequencer import Publisher, Sequencer
from core.config import Config
from core.store.lmdb_engine import LmdbEngine
from core.store.log_queue import LogQueue
from node import VERSION, wiring
from node.signing import load_signer


def make_sequencer(config: Config, store: LmdbEngine) -> Sequencer:
    """Return what writes the logs. Errors: ConfigError if there is no key to sign them with."""
    signer = load_signer(config)
    software = Software(config.text("node.prefix"), VERSION)
    publisher = Publisher(wiring.log_host(config), software, signer.public_key, signer.sign_note)
    return Sequencer(config.data, LogQueue(store), publisher)
