"""What settings of the logs must be together; each by itself is checked by ``core/config.py``."""

from __future__ import annotations

import re
from typing import Final

from core import limits
from core.errors import ConfigError

_ORIGIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", re.ASCII)


def require_log_settings(disk_stop: int, disk_reserve: int, origin: str) -> None:
    """Errors: ConfigError for a reserve that is no less than what stops registration, or a host that is none."""
    if disk_reserve and disk_reserve >= disk_stop:
        raise ConfigError(
            f"log.disk_reserve（{disk_reserve}）须小于 log.disk_stop（{disk_stop}）：先停止注册，后停止解析。"
            f"log.disk_reserve ({disk_reserve}) must be less than log.disk_stop ({disk_stop}): registration stops "
            "first",
            setting="log.disk_reserve",
        )
    if origin and not (len(origin) <= limits.ORIGIN_CHARS_MAX and _ORIGIN.fullmatch(origin)):
        raise ConfigError(
            f"log.origin = {origin!r} 应为主机名，如 id.example.cn。That is no host name as id.example.cn, of at most "
            f"{limits.ORIGIN_CHARS_MAX} letters, digits, dots and hyphens, and a port",
            setting="log.origin",
        )
