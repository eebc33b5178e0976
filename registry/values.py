"""Rules that the values of a record must keep, and what a change of them needs."""

from __future__ import annotations

from typing import Final

from core import limits
from core.errors import AdmissionError, LimitError, Outcome, RecordError, WireError
from core.records import AdminPermission, HandleValue, ValuePermission, Values
from core.wire.gs1link import decode_link
from core.wire.template import check_namespace
from core.wire.values import encode_values
from core.wire.valuetypes import GS1_LINK, HS_ADMIN, HS_NAMESPACE, HS_PUBKEY, HS_SECKEY, HS_VLIST

_PERMISSIONS_ALL: Final = 0b1111
RIGHTS: Final = frozenset((HS_ADMIN, HS_VLIST, HS_PUBKEY, HS_SECKEY))
"""Types by which somebody gets a right; no value is or becomes one of these without proof."""


def check_values(values: Values) -> None:
    """Check what is to be stored: check_shapes() and check_templates()."""
    check_shapes(values)
    check_templates(values)


def check_templates(values: Values) -> None:
    """Check what stands in HS_NAMESPACE values; expressions cost, so whoever may not write is refused before.

    Bounds: TEMPLATE_EXPRESSIONS_MAX. Errors: RecordError.
    """
    expressions_left = limits.TEMPLATE_EXPRESSIONS_MAX
    for value in values:
        if value.type == HS_NAMESPACE:
            try:
                expressions_left -= check_namespace(value.data, expressions_left)
            except WireError as error:
                message = f"The {HS_NAMESPACE} with index {value.value_index} is wrong: {error.message}"
                raise RecordError(message) from None


def check_shapes(values: Values) -> None:
    """Check what costs no more than looking at it, so that it may be told to anyone.

    Bounds: VALUES_PER_RECORD_MAX, RECORD_BYTES_MAX, TYPE_BYTES_MAX, REFERENCES_PER_VALUE_MAX, GS1_LINKS_MAX.
    Errors: RecordError in the reference server's words for indexes, else LimitError.
    """
    if len(values) > limits.VALUES_PER_RECORD_MAX:
        raise LimitError(f"A record has at most {limits.VALUES_PER_RECORD_MAX} values, this has {len(values)}")
    seen: set[int] = set()
    for value in values:
        index = value.value_index
        if index <= 0:
            raise RecordError("Value indexes must be positive")
        if index in seen:
            raise RecordError(f"Index conflict for {index}", outcome=Outcome.VALUE_EXISTS)
        seen.add(index)
        if not value.type:
            raise RecordError(f"The value with index {index} has no type")
        if value.permissions > _PERMISSIONS_ALL:
            raise RecordError(f"The value with index {index} has permissions that nobody knows: {value.permissions:#x}")
        if value.type == HS_SECKEY and value.permissions & ValuePermission.PUBLIC_READ:
            raise RecordError(f"The secret key with index {index} must not be publicly readable: permissions 1100")
        if len(value.type.encode()) > limits.TYPE_BYTES_MAX or len(value.references) > limits.REFERENCES_PER_VALUE_MAX:
            raise LimitError(
                f"The value with index {index} has a type over {limits.TYPE_BYTES_MAX} octets "
                f"or over {limits.REFERENCES_PER_VALUE_MAX} references"
            )
    _check_links(values)
    size = len(encode_values(values))
    if size > limits.RECORD_BYTES_MAX:
        raise LimitError(f"A record has at most {limits.RECORD_BYTES_MAX} octets, this has {size}")


def _check_links(values: Values) -> None:
    """Check the GS1_LINK values: each by itself, and that one at most is the default. Errors: NodeError."""
    links = [value for value in values if value.type == GS1_LINK]
    if len(links) > limits.GS1_LINKS_MAX:
        raise LimitError(
            f"一条记录至多 {limits.GS1_LINKS_MAX} 个 {GS1_LINK} 值，此处有 {len(links)} 个。A record has at most "
            f"{limits.GS1_LINKS_MAX} values of type {GS1_LINK}, this has {len(links)}"
        )
    default = 0
    for value in links:
        index = value.value_index
        try:
            link = decode_link(value.data)
        except WireError as error:
            raise RecordError(
                f"索引 {index} 的 {GS1_LINK} 值有误 The {GS1_LINK} with index {index} is wrong: {error.message}"
            ) from None
        if link.default and default:
            raise RecordError(
                f"索引 {default} 与 {index} 的 {GS1_LINK} 值都是默认链接，只能有一个。The values of type {GS1_LINK} "
                f"with index {default} and {index} both are the default; one may be"
            )
        default = index if link.default else default


def by_index(values: Values) -> dict[int, HandleValue]:
    """Return the values by index."""
    return {value.value_index: value for value in values}


def public_writes(stored: Values, named: Values, *, to_first: bool) -> tuple[list[int], bool]:
    """Return the indexes of the named values that anyone may write, and whether there are others.

    ``to_first``: look no further than the first other. Source: RFC 3651 §3.1 and the reference
    server, which looks value by value. Errors: RecordError for one that is not there,
    AdmissionError for one that nobody may write.
    """
    before, free, others = by_index(stored), [], False
    for value in named:
        known = before.get(value.value_index)
        if known is None:
            raise RecordError("", outcome=Outcome.VALUE_NOT_FOUND)
        if known.permissions & ValuePermission.PUBLIC_WRITE and RIGHTS.isdisjoint((known.type, value.type)):
            free.append(value.value_index)
            continue
        if not known.permissions & ValuePermission.ADMIN_WRITE:
            raise AdmissionError("Value is read-only", outcome=Outcome.ACCESS_DENIED)
        others = True
        if to_first:
            break
    return free, others


def stamped(values: Values, now_s: int) -> Values:
    """Return the values with the registrar's time: what a request says is ignored."""
    return tuple([value._replace(timestamp=now_s) for value in values])


def keep_unchanged(old: Values, new: Values, now_s: int) -> Values:
    """Return the new values; one that changes nothing keeps its old timestamp.

    A timestamp that is not the server's own stamp was given by an import, and stays.
    """
    before = by_index(old)
    kept = []
    for value in new:
        known = before.get(value.value_index)
        unchanged = known is not None and value.timestamp == now_s and known.same_as(value)
        kept.append(known if unchanged and known is not None else value)
    return tuple(kept)


def keep_secrets(old: Values, new: Values) -> Values:
    """Return the new values with the secret keys of the old ones where nothing takes their index.

    An export leaves secret keys out, so importing it must not take them away.
    """
    taken = by_index(new)
    kept = list(new)
    for position, value in enumerate(old):
        if value.type == HS_SECKEY and value.value_index not in taken:
            kept.insert(position, value)
    return tuple(kept)


def permissions_needed(old: Values, new: Values) -> AdminPermission:
    """Return the bits of HS_ADMIN that the change from ``old`` to ``new`` asks for.

    Unchanged values ask nothing. Source: the reference server.
    """
    before, after = by_index(old), by_index(new)
    needed = AdminPermission(0)
    for index in before.keys() | after.keys():
        needed |= _needed(before.get(index), after.get(index))
    return needed


def _needed(old: HandleValue | None, new: HandleValue | None) -> AdminPermission:
    p = AdminPermission
    if old is None:
        return p.ADD_ADMIN if new is not None and new.type == HS_ADMIN else p.ADD_VALUE
    if new is None:
        return p.REMOVE_ADMIN if old.type == HS_ADMIN else p.REMOVE_VALUE
    if old.same_as(new):
        return p(0)
    match old.type == HS_ADMIN, new.type == HS_ADMIN:
        case True, True:
            return p.MODIFY_ADMIN
        case False, True:
            return p.MODIFY_VALUE | p.ADD_ADMIN
        case True, False:
            return p.REMOVE_ADMIN | p.MODIFY_VALUE
    return p.MODIFY_VALUE
