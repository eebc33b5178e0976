"""What ``saltern doctor`` says of deposits with the escrow agent."""

from __future__ import annotations

from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import NodeError
from core.store.deposit_rows import deposits
from core.store.engine import Snapshot
from sync.escrow.sealing import load_recipient
from sync.escrow.sending import REJECTED

_HOUR_MS = 3_600_000


def look_at_deposits(config: Config, snapshot: Snapshot, now_ms: Millis) -> tuple[str, str, str]:
    """Return level, check and message: off, a key that is none, missing, too old, rejected, or how old the newest is.

    Errors: StoreError.
    """
    key = config.file("escrow.to_key")
    if key is None:
        return (
            "ok", "escrow",
            "未启用数据托管（escrow.to_key）。No deposit is made by the node itself (escrow.to_key)",
        )  # fmt: skip
    try:
        load_recipient(key)
    except NodeError as error:
        return "error", "escrow", error.message
    made = deposits(snapshot)
    if not made:
        return "warning", "escrow", "尚无托管数据。There is no deposit yet"
    newest, row = list(made.items())[-1]
    hours = max(0, now_ms - row.made_ms) // _HOUR_MS
    if now_ms - row.made_ms > limits.ESCROW_OLD_MS:
        return (
            "warning", "escrow",
            f"最近的托管数据已过 {hours} 小时，请看节点日志。The newest deposit is {hours} hours old: see the log",
        )  # fmt: skip
    for deposit, each in made.items():
        for upstream, above in each.above.items():
            if above.stage == REJECTED and deposit == newest:
                return (
                    "warning", "escrow",
                    f"{deposit} 被上级节点 {upstream} 拒收：{above.zh}。{above.en}",
                )  # fmt: skip
            if above.fault:
                return "warning", "escrow", f"{deposit} → {upstream}: {above.fault}"
    return "ok", "escrow", f"{newest}: {hours} 小时前 hours ago"
