"""``saltern log``: the statutory logs, for auditors (Measures art. 13 to 15)."""

from __future__ import annotations

import click

from node.cli.common import Commands


@click.group(cls=Commands)
def log() -> None:
    """留存日志：查询、导出、校验、留存。The statutory logs: query, export, verify, retention."""
