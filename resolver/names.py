"""Every other name of an object, found from one state of the store: aliases, and what GS1 keys name by rule.

By rule, without a row: below a GTIN that is an alias of product P, ``/10/{lot}`` is the lot of P with that code, and
``/21/{serial}`` the unit of P whose whole suffix it is; both lie below the prefix of P. Case counts: in lower case it
is another identifier. A row wins over the rule. Source: design §2; GS1 Digital Link URI syntax 1.6.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.errors import Outcome
from core.ident.alias import Alias, AliasKind
from core.ident.digital_link import DigitalLink
from core.ident.handle import HandleKey, prefix_of
from core.store.alias_rows import target_of
from core.store.engine import Snapshot, Table
from core.store.lot_rows import lot_of_unit, unpack_lot
from resolver.service import Answer, Question, Resolver

_KEYS: Final = {"01": AliasKind.GTIN, "00": AliasKind.SSCC, "414": AliasKind.GLN}
_GTIN: Final = "01"
_LOT: Final = "10"
_SERIAL: Final = "21"
_BELOW_GTIN: Final = {_LOT: AliasKind.GTIN_LOT, _SERIAL: AliasKind.GTIN_SERIAL}
STOPS: Final = frozenset((Outcome.NOT_ISSUED, Outcome.GONE, Outcome.HELD))
"""How what nobody may be led past is answered."""
_NOTHING: Final = frozenset((Outcome.HANDLE_NOT_FOUND, Outcome.NOT_RESPONSIBLE, Outcome.INVALID_HANDLE))


class Named(NamedTuple):
    """One level of a GS1 key that names something here: the level, the handle, and what is answered for it.

    ``answer``: with values, public ones alone.
    """

    level: DigitalLink
    handle: str
    answer: Answer


class Names:
    """Finds what names stand for."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def resolve(self, snapshot: Snapshot, alias: Alias) -> Answer | None:
        """Return what is answered for an alias, as for the handle that it names; None where it names nothing here.

        Errors: StoreError.
        """
        target = handle_of(snapshot, alias)
        answer = None if target is None else self._ask(snapshot, target)
        return None if answer is None or answer.outcome in _NOTHING else answer

    def levels(self, snapshot: Snapshot, link: DigitalLink) -> tuple[Named, ...]:
        """Return the levels of a GS1 key that name something here, the longest first; none where none does.

        One whose answer is in STOPS is there, too: nobody may be led past it, also not by other letters or by another
        lot beside it. Errors: StoreError.
        """
        found = []
        for level in link.levels:
            target, exact = _target(snapshot, level)
            answer = None if target is None else self._ask(snapshot, target)
            if answer is None or answer.outcome in _NOTHING:
                continue
            if exact or answer.outcome in STOPS:
                found.append(Named(level, answer.handle, answer))
        return tuple(found)

    def _ask(self, snapshot: Snapshot, target: HandleKey) -> Answer:
        return self._resolver.resolve(snapshot, Question(target.decode(), want="values"))


def handle_of(snapshot: Snapshot, alias: Alias) -> HandleKey | None:
    """Return the key of what an alias names, by its row or by rule; None for neither. Errors: StoreError."""
    target = target_of(snapshot, alias)
    return _by_rule(snapshot, alias) if target is None and alias.kind in _BELOW_GTIN.values() else target


def _by_rule(snapshot: Snapshot, alias: Alias) -> HandleKey | None:
    gtin, _, rest = alias.value.partition("/")
    if alias.kind is AliasKind.GTIN_LOT:
        return _lot_by_rule(snapshot, gtin, rest)
    return _unit_by_rule(snapshot, gtin, rest)


def _target(snapshot: Snapshot, level: DigitalLink) -> tuple[HandleKey | None, bool]:
    """Return what this level names, by its last qualifier, and whether exactly so.

    Else it would in capitals, or what stands before it gainsays it.
    """
    key, *qualifiers = level.elements
    if not qualifiers:
        kind = _KEYS.get(key.ai)
        return None if kind is None else target_of(snapshot, Alias(kind, key.value)), True
    last = qualifiers[-1]
    kind = _BELOW_GTIN.get(last.ai) if key.ai == _GTIN else None
    if kind is None:
        return None, True
    alias = Alias(kind, f"{key.value}/{last.value}")
    target = handle_of(snapshot, alias)
    if target is None:
        return _by_rule(snapshot, alias._replace(value=alias.value.upper())), False
    lots = [each.value for each in qualifiers[:-1] if each.ai == _LOT]
    return target, not lots or _is_of_lot(snapshot, target, key.value, lots[0])


def _is_of_lot(snapshot: Snapshot, unit: HandleKey, gtin: str, lot: str) -> bool:
    """Whether a unit is of the lot that stands beside its serial number; what is no unit of ours is of any."""
    own = lot_of_unit(unit)
    if not own or len(own) == len(unit) or snapshot.get(Table.LOTS, own) is None:
        return True
    return handle_of(snapshot, Alias(AliasKind.GTIN_LOT, f"{gtin}/{lot}")) == own


def _lot_by_rule(snapshot: Snapshot, gtin: str, code: str) -> HandleKey | None:
    key = _below_product(snapshot, gtin, code)
    return key if key is not None and _is_lot_of(snapshot, key, gtin) else None


def _unit_by_rule(snapshot: Snapshot, gtin: str, serial: str) -> HandleKey | None:
    """Return the key of a unit by its form; whether it was issued the resolver says."""
    key = _below_product(snapshot, gtin, serial)
    lot = b"" if key is None else lot_of_unit(key)
    return key if lot and lot != key and _is_lot_of(snapshot, lot, gtin) else None


def _below_product(snapshot: Snapshot, gtin: str, suffix: str) -> HandleKey | None:
    """Return the key of a suffix below the prefix of the product; None in lower case, which is another identifier."""
    product = target_of(snapshot, Alias(AliasKind.GTIN, gtin))
    octets = suffix.encode()
    if product is None or octets != octets.upper():
        return None
    return HandleKey(prefix_of(product) + b"/" + octets)


def _is_lot_of(snapshot: Snapshot, lot: bytes, gtin: str) -> bool:
    row = snapshot.get(Table.LOTS, lot)
    return row is not None and unpack_lot(row).product_key == target_of(snapshot, Alias(AliasKind.GTIN, gtin))
