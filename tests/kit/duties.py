"""A node in production: what its configuration says of its duties and its licence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core import clock

DUTIES: Mapping[str, object] = {
    "about.operator": "示例盐业标识服务有限公司",
    "about.website": "https://www.example.cn",
    "about.services": ["标识注册 Registration of identifiers", "标识解析 Resolution, around the clock"],
    "about.time_limits": ["前缀审核：五个工作日 Review of a prefix: five working days", "投诉答复 Complaints: 15 days"],
    "about.fees": ["免费 Free of charge"],
    "about.department": "标识服务部 Identifier services",
    "about.person": "张三",
    "about.complaint_contact": "0531-00000000, complaints@example.cn",
    "licence.number": "鲁标识 2026-0001",
    "licence.issuer": "示例省通信管理局",
    "licence.scope": "二级节点标识注册与解析服务 Secondary node",
    "licence.valid_from": "2020-01-01",
    "licence.valid_until": "2099-12-31",
}


def write_duties(file: Path, *, profile: str = "production", **changes: object) -> None:
    """Add to a node.toml that ``init`` made. ``changes``: by name, dots as two lines; None leaves one out."""
    told = {**DUTIES, **{name.replace("__", "."): value for name, value in changes.items()}}
    text = file.read_text("utf-8").replace("[node]\n", f'[node]\nprofile = "{profile}"\n', 1)
    for section in ("about", "licence"):
        rows = [(name, value) for name, value in told.items() if name.startswith(f"{section}.") and value is not None]
        text += f"\n[{section}]\n" + "".join(f"{name.partition('.')[2]} = {_toml(value)}\n" for name, value in rows)
    file.write_text(text, "utf-8")


def _toml(value: object) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else f'"{value}"'


def day(offset: int) -> str:
    """Return the day in Shanghai that is so many days from today."""
    return clock.shanghai_date(clock.now_ms() + offset * 86_400_000).isoformat()
