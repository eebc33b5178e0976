"""What ``saltern doctor`` says of backups."""

from __future__ import annotations

from core import limits
from core.clock import Millis
from core.config import Config
from node.backup_file import newest_ms

_HOUR_MS = 3_600_000


def look_at_backups(config: Config, now_ms: Millis) -> tuple[str, str, str]:
    """Return level, check and message: off, missing, too old, or how old the newest one is."""
    folder = config.file("backup.folder")
    if folder is None:
        return (
            "ok", "backup",
            "未设自动备份（backup.folder）；请另行备份。No backup is made by the node itself (backup.folder): make "
            "them by `saltern backup`",
        )  # fmt: skip
    newest = newest_ms(folder, now_ms)
    if newest is None:
        return "warning", "backup", f"{folder} 中没有完整的备份。There is no whole backup in {folder}"
    hours = max(0, now_ms - newest) // _HOUR_MS
    if now_ms - newest > limits.BACKUP_OLD_MS:
        return (
            "warning", "backup",
            f"最近的备份已过 {hours} 小时，请看节点日志。The newest backup is {hours} hours old: see the log",
        )  # fmt: skip
    return "ok", "backup", f"{folder}: {hours} 小时前 hours ago"
