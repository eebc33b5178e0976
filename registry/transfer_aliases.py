"""Aliases in a transfer: a line for each handle that has some, before all else, so that a clash is told first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core import limits
from core.errors import Outcome, WireError
from core.ident.alias import Alias, parse_alias
from core.ident.handle import HandleKey, HandleRules, PrefixKey, check_requested, prefix_of
from core.lotkeys import MasterKeys
from core.store.alias_rows import AliasRow, alias_key, aliases_below, target_of
from core.store.engine import Snapshot
from core.store.prefix_rows import Rows
from core.wire.transferfile import AliasLine
from registry.desk import Desk
from registry.refusals import refusal


class Named(NamedTuple):
    """A handle's key, and its aliases."""

    target: HandleKey
    aliases: tuple[Alias, ...]


def read_aliases(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[AliasLine]:
    """Yield what has aliases below a prefix."""
    for target, aliases in aliases_below(snapshot, prefix):
        yield AliasLine(target.decode(), [str(alias) for alias in aliases])


def check_alias_line(prefix: PrefixKey, rules: HandleRules, line: AliasLine) -> Named:
    """Return what a line says. Errors: NodeError for what cannot be."""
    target = check_requested(line.handle, rules)
    if target != line.handle.encode() or prefix_of(target) != prefix:
        raise WireError(
            f"{line.handle[:80]!r} 未规范化，或不属于前缀 {prefix.decode()}。"
            f"{line.handle[:80]!r} is not in its folded form, or not of the prefix {prefix.decode()}"
        )
    aliases = tuple(map(parse_alias, line.aliases[: limits.ALIASES_PER_HANDLE_MAX + 1]))
    keys = [alias_key(alias) for alias in aliases]
    canonical = line.aliases == [str(alias) for alias in aliases] and keys == sorted(set(keys))
    if not canonical or not 0 < len(aliases) <= limits.ALIASES_PER_HANDLE_MAX:
        raise WireError(
            f"{line.handle[:80]!r} 的别名未规范化、未排序，或多于 {limits.ALIASES_PER_HANDLE_MAX} 个。The aliases of "
            f"{line.handle[:80]!r} are not in their form and order, or more than {limits.ALIASES_PER_HANDLE_MAX}"
        )
    return Named(target, aliases)


def require_no_other(rows: Rows, named: Named) -> None:
    """Errors: NodeError(CONFLICT) where one of the aliases names something else here."""
    for alias in named.aliases:
        if target_of(rows, alias) not in (None, named.target):
            raise refusal("import-alias", Outcome.CONFLICT, alias=str(alias))


def write_aliases(desk: Desk, _prefix: PrefixKey, _number: int, named: Named, _origin: str) -> None:
    """Stage the aliases of a handle. Errors: NodeError where one names something else here."""
    require_no_other(desk.staging, named)
    for alias in named.aliases:
        if target_of(desk.staging, alias) is None:
            desk.staging.add_alias(alias, AliasRow(named.target, desk.now_ms, desk.who), desk.now_ms)
