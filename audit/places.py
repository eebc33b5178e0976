"""Where the logs lie in the data folder."""

from typing import Final

FOLDER: Final = "log"
SPOOL_FOLDER: Final = "spool"
PENDING: Final = "log.pending"
LOCK: Final = "log.lock"
BEFORE: Final = "log-before"
"""Logs of a node that this one was put back from: a folder for each of their hosts, laid out as the data folder is."""
