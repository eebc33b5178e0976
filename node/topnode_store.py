"""The store of a reference top node, as its configuration names it."""

from __future__ import annotations

from typing import Final

from core.config import Config
from core.errors import ConfigError
from node.topnode_keys import load_store_key
from node.topnode_settings import MADE_BY, topnode_data
from sync.topnode.store import TopStore
from sync.topnode.takeover import Takeovers

COPIES: Final = "copies"
"""Folder of the copies that were made of accepted deposits, one a node, by key id."""
CURRENT: Final = "current"
"""File in it that says which deposit the copy is made of."""


def open_top_store(config: Config) -> TopStore:
    """Open the store beside whoever has it open; make it where there is none. Errors: ConfigError, StoreError."""
    require_data(config)
    folder = topnode_data(config) / "store"
    folder.mkdir(mode=0o700, exist_ok=True)
    return TopStore(folder, load_store_key(config))


def open_takeovers(config: Config) -> Takeovers:
    """Open what says of which nodes the copy is served, beside whoever has it open. Errors: ConfigError, StoreError."""
    require_data(config)
    return Takeovers(topnode_data(config) / "takeover")


def has_copy(config: Config, node_id: str) -> bool:
    """Whether a deposit of a node was accepted: its copy is there, whole."""
    return (topnode_data(config) / COPIES / node_id / CURRENT).exists()


def require_data(config: Config) -> None:
    """Errors: ConfigError where there is no data folder."""
    data = topnode_data(config)
    if not data.is_dir():
        raise ConfigError(
            f"没有数据目录 {data}，请先执行 {MADE_BY}。There is no data folder {data}; `{MADE_BY}` makes one"
        )
