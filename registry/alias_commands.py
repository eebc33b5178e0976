"""Commands about aliases: the other names of what is registered."""

from __future__ import annotations

from typing import NamedTuple


class AddAlias(NamedTuple):
    """Give a record, a lot or a unit another name. ``alias``: KIND:VALUE, unread until the registrar has it."""

    identifier: str
    alias: str


class RemoveAlias(NamedTuple):
    """Take a name away. ``alias``: KIND:VALUE."""

    alias: str
