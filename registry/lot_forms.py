"""The form of a lot: its members, and what is wrong with them.

Reading gives a lot or all its faults at once. What needs the store is looked at in ``registry/lots.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import Millis, parse_day
from core.errors import NodeError, Outcome, RecordError
from core.ident.handle import HandleRules, check_handle
from core.ident.unitcode import INDEXES_MAX, SCHEME, is_lot_code
from core.lots import RESERVED, Packaging
from core.party.rules import Fault
from core.records import Values
from core.store.lot_rows import LotRow
from core.wire.jsonform import ValueForms, load_values
from core.wire.jsontext import parse
from core.wire.values import encode_values
from registry.members import Kind, Member, read_body
from registry.refusals import fault, refusal
from registry.values import check_values

_YES: Final = True
LOT: Final = Member(
    "lot", Kind.TEXT, "批次：前缀/批号", "The lot, PREFIX/CODE: 88.118.7/L260406001", _YES, high=limits.LOT_CHARS_MAX
)
_DAY_CHARS: Final = 32  # more than a day has: what is wrong with a day is told of it, not of its length
_SYSTEM: Final = "HS_"  # types of the Handle System: rights, keys and sites are those of the product

LOT_FORM: Final = (
    LOT,
    Member("product", Kind.TEXT, "产品标识", "Handle of the product", _YES, high=limits.HANDLE_CHARS_MAX),
    Member("count", Kind.INTEGER, "单元数", "Number of units", _YES, high=INDEXES_MAX),
    Member("units_per_case", Kind.INTEGER, "每箱单元数", "Units in a case", high=limits.LOT_PACKED_MAX),
    Member("cases_per_pallet", Kind.INTEGER, "每托箱数", "Cases on a pallet", high=limits.LOT_PACKED_MAX),
    Member("line", Kind.LINE, "生产线", "The line that makes it", high=limits.LOT_LINE_CHARS_MAX),
    Member("produced", Kind.TEXT, "生产日期", "Day of production: 2026-11-21", high=_DAY_CHARS),
    Member("valid_until", Kind.TEXT, "有效期至", "Last day that it may be sold: 2029-11-20", high=_DAY_CHARS),
    Member(
        "values",
        Kind.DOCUMENT,
        "各单元共用的值，形式同标识的values",
        "Values that all units share, as of a record",
    ),
)


class LotForm(NamedTuple):
    """What a form says: the key of the lot's handle, and its row but for the id of its master key."""

    key: bytes
    row: LotRow


def read_lot(form: bytes, rules: HandleRules, now_ms: Millis) -> LotForm | list[Fault]:
    """Read a form; return the lot, or all its faults: of the types of its members, or else of what they say.

    Errors: NodeError(MALFORMED) for what is no JSON.
    """
    try:
        members = read_body(form, LOT_FORM)
    except RecordError as error:
        faults_told: Any = error.fields.get("faults")
        if faults_told is None:
            raise
        return [Fault(**each) for each in faults_told]
    faults: list[Fault] = []
    key = _key(members["lot"], rules)
    if key is None:
        faults.append(fault("lot", "lot-form", chars=limits.LOT_CHARS_MAX))
    product = b""
    try:
        product = check_handle(members["product"], rules)
        if "/" not in members["product"] or product.startswith(b"0."):
            faults.append(fault("product", "lot-product", error="/"))
    except NodeError as error:
        faults.append(fault("product", "lot-product", error=error.message))
    packaging = Packaging(members["count"], members.get("units_per_case", 0), members.get("cases_per_pallet", 0))
    if packaging.cases_per_pallet and not packaging.units_per_case:
        faults.append(fault("cases_per_pallet", "lot-packaging"))
    elif not packaging.fits:
        faults.append(fault("count", "lot-space", total=packaging.total, space=INDEXES_MAX))
    faults += _dates(members)
    values: Values = ()
    try:
        values = _values(members.get("values"), now_ms)
    except NodeError as error:
        faults.append(fault("values", "lot-values", error=error.message))
    faults += shared_faults(values)
    if faults or key is None:
        return faults
    text = members["product"]
    row = LotRow(
        text, b"" if product == text.encode() else product, packaging, members.get("line", ""),
        members.get("produced", ""), members.get("valid_until", ""), SCHEME, 0, b"", b"", now_ms, encode_values(values),
    )  # fmt: skip
    return LotForm(key, row)


def check_lot(text: str, rules: HandleRules) -> bytes:
    """Return the key of a lot's handle. Errors: NodeError."""
    key = _key(text, rules)
    if key is None:
        raise refusal("lot-form", Outcome.INVALID_HANDLE, chars=limits.LOT_CHARS_MAX)
    return key


def _key(text: str, rules: HandleRules) -> bytes | None:
    try:
        key = check_handle(text, rules)
    except NodeError:
        return None
    _, slash, code = key.partition(b"/")
    return key if slash and "/" in text and is_lot_code(code) and len(text) <= limits.LOT_CHARS_MAX else None


def _dates(members: Any) -> list[Fault]:
    days = {name: parse_day(members[name]) for name in ("produced", "valid_until") if name in members}
    faults = [fault(name, "lot-date") for name, day in days.items() if day is None]
    produced, until = days.get("produced"), days.get("valid_until")
    if produced is not None and until is not None and until < produced:
        faults.append(fault("valid_until", "lot-dates"))
    return faults


def _values(raw: bytes | None, now_ms: Millis) -> Values:
    """Return the shared values. Errors: NodeError."""
    if raw is None:
        return ()
    values = load_values(parse(raw, ValueForms), now_ms // 1_000)
    check_values(values)
    return values


def shared_faults(values: Values) -> Iterator[Fault]:
    """Yield what is wrong with values that all units of a lot are to share. Bounds: LOT_VALUES_BYTES_MAX."""
    for position, value in enumerate(values):
        path = f"values[{position}]"
        if value.value_index in RESERVED:
            yield fault(path, "lot-value-index", low=RESERVED.start, high=RESERVED.stop - 1)
        if value.type.upper().startswith(_SYSTEM):
            yield fault(path, "lot-value-type", type=repr(value.type[:40]))
    if len(encode_values(values)) > limits.LOT_VALUES_BYTES_MAX:
        yield fault("values", "lot-value-size", octets=limits.LOT_VALUES_BYTES_MAX)
