"""Reads the statutory logs of a node: what the configuration says of where they are, and how identifiers compare."""

from __future__ import annotations

from collections.abc import Callable

from audit.mirror import Comparison
from audit.query import LogReader
from core.config import Config
from core.ident.handle import HandleRules


def comparison(config: Config) -> Comparison:
    """Return how this node compares identifiers."""
    case_sensitive = config.flag("handle.case_sensitive")
    return Comparison(HandleRules(case_sensitive=case_sensitive).fold, case_sensitive)


def log_reader(config: Config, note: Callable[[str], None]) -> LogReader:
    """Return what reads the logs. ``note``: is told what the one who asks should know."""
    return LogReader(config.data, comparison(config), note)
