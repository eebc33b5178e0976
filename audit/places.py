"""Where the logs lie in the data folder."""

from typing import Final

FOLDER: Final = "log"
SPOOL_FOLDER: Final = "spool"
PENDING: Final = "log.pending"
LOCK: Final = "log.lock"
