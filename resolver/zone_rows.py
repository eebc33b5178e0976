"""Which aliases are answered, and whether any is below a name: what the zones of DNS are made of.

1. An alias is answered where its target is, hosted or delegated; whether there is such a record is not asked. So a
   record can be written without a zone changing, and what changes one is what ``core/store/zone_row.py`` lists.
2. Whether any is below a name is found by looking at rows in order until one is answered. At most DNS_HIDDEN_MAX rows
   that are not answered are looked at for one question; how far that went is remembered until a zone changes, and the
   next question goes on from there. While it is not known, there is one: the name exists without records, and nobody
   concludes from it that there is none. So a whole arc that is on hold costs each question little, and all of them
   together one look at each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core import limits
from core.errors import Outcome
from core.ident.alias import Alias, AliasKind
from core.ident.handle import HandleKey
from core.store.alias_rows import alias_key, alias_of, target_of, unpack_alias
from core.store.engine import Snapshot, Table
from core.store.homing import STOPPED, hosting_of, is_held
from core.store.zone_row import zone_serial

Range = tuple[bytes, bytes]
"""Start and stop of keys."""


class Target(NamedTuple):
    """What an alias stands for. ``outcome``: OK, HELD, or HANDLE_NOT_FOUND; ``key``: only where it is OK."""

    outcome: Outcome
    key: HandleKey = HandleKey(b"")


NO_TARGET = Target(Outcome.HANDLE_NOT_FOUND)


def standing_of(snapshot: Snapshot, handle: bytes, *, root: bool) -> Outcome:
    """Return whether a handle's key is answered here or referred on (OK), HELD, or nothing of this node's."""
    hosting = hosting_of(snapshot, handle, root=root)
    if hosting is None:
        return Outcome.HANDLE_NOT_FOUND
    return Outcome.HELD if hosting == STOPPED or is_held(snapshot, handle) else Outcome.OK


def find_target(snapshot: Snapshot, alias: Alias, *, root: bool) -> Target:
    """Return what an alias stands for. Errors: StoreError."""
    target = target_of(snapshot, alias)
    if target is None:
        return NO_TARGET
    outcome = standing_of(snapshot, target, root=root)
    return Target(outcome, target) if outcome is Outcome.OK else Target(outcome)


def all_answered(snapshot: Snapshot, kind: AliasKind, *, root: bool) -> Iterator[tuple[str, HandleKey] | None]:
    """Yield the value of each alias of a kind that is answered, in the order of keys, and its target.

    None after each DNS_TRANSFER_ROWS that are not: whoever goes through all of them may rest there.
    """
    hidden = 0
    for key, row in snapshot.scan(Table.ALIASES, *starting_with(kind, "")):
        target = unpack_alias(row).target
        if standing_of(snapshot, target, root=root) is Outcome.OK:
            yield alias_of(key).value, target
            continue
        hidden += 1
        if hidden % limits.DNS_TRANSFER_ROWS == 0:
            yield None


def starting_with(kind: AliasKind, digits: str) -> Range:
    """Return the keys of all aliases whose value starts with these digits and goes on with one (":" follows "9")."""
    return alias_key(Alias(kind, digits)), alias_key(Alias(kind, digits + ":"))


def below_arc(node: str) -> Range:
    """Return the keys of all OIDs below one, or below a root ("/" follows ".")."""
    return alias_key(Alias(AliasKind.OID, node + ".")), alias_key(Alias(AliasKind.OID, node + "/"))


class Below:
    """Tells whether any alias is answered below a name, from one state of the store after another."""

    def __init__(self, *, root: bool) -> None:
        self._root = root
        self._zone = -1
        self._passed: dict[bytes, bytes] = {}

    def any_within(self, snapshot: Snapshot, ranges: Iterable[Range]) -> bool:
        """Whether any alias in these ranges of keys is answered, or that is not known yet. Errors: StoreError.

        Bounds: DNS_HIDDEN_MAX, DNS_HIDDEN_KEPT_MAX.
        """
        self._begin(zone_serial(snapshot))
        left = limits.DNS_HIDDEN_MAX
        for start, stop in ranges:
            begun = left
            for key, row in snapshot.scan(Table.ALIASES, self._passed.get(start, start), stop):
                answered = standing_of(snapshot, unpack_alias(row).target, root=self._root) is Outcome.OK
                if answered or not left:
                    self._remember(start, key, looked=left < begun)
                    return True
                left -= 1
            self._remember(start, stop, looked=left < begun)
        return False

    def _begin(self, zone: int) -> None:
        if zone != self._zone:
            self._zone = zone
            self._passed.clear()

    def _remember(self, start: bytes, place: bytes, *, looked: bool) -> None:
        """Remember that nothing from ``start`` up to a place is answered, if that took looking."""
        if looked:
            if len(self._passed) >= limits.DNS_HIDDEN_KEPT_MAX:
                self._passed.clear()
            self._passed[start] = place
