"""The JSON form of handle values, as the reference server writes and reads it.

    {"index", "type", "data": {"format", "value"}, ["permissions"], "ttl",
     ["timestamp"], ["references"]}

``permissions`` is left out when 1110, ``timestamp`` when 0. ``ttl`` is a number of
seconds, or the time of day in ISO form when absolute. ``data`` is in ``core.wire.jsondata``.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from core import limits
from core.clock import format_utc, parse_utc
from core.errors import NodeError, RecordError, WireError
from core.records import PERMISSIONS_USUAL, HandleValue, Values
from core.wire.jsondata import (
    DataForm,
    ReferenceForm,
    dump_data,
    dump_references,
    integer,
    load_data,
    load_reference,
)
from core.wire.jsontext import parse, quote_name

# --- writing -----------------------------------------------------------------


def dump_values(values: Values) -> bytes:
    """Return the JSON array of the values, in their order."""
    return ("[" + ",".join([dump_value(value) for value in values]) + "]").encode()


def dump_value(value: HandleValue) -> str:
    """Return the JSON form of one value."""
    ttl = f'"{format_utc(value.ttl)}"' if value.ttl_absolute else value.ttl
    text = f'{{"index":{value.value_index},"type":{quote_name(value.type)},"data":{dump_data(value.type, value.data)}'
    if value.permissions != PERMISSIONS_USUAL:
        text += f',"permissions":"{value.permissions:04b}"'
    text += f',"ttl":{ttl}'
    if value.timestamp:
        text += f',"timestamp":"{format_utc(value.timestamp)}"'
    if value.references:
        text += f',"references":{dump_references(value.references)}'
    return text + "}"


# --- reading -----------------------------------------------------------------


class ValueForm(msgspec.Struct):
    """One value as it is sent. Unknown members are ignored, as the reference server does."""

    index: int | str
    type: str
    data: str | DataForm
    permissions: str | None = None
    ttl: int | str | None = None
    timestamp: str | None = None
    references: Annotated[list[ReferenceForm], Meta(max_length=limits.REFERENCES_PER_VALUE_MAX)] | None = None


ValueForms = Annotated[list[ValueForm], Meta(max_length=limits.VALUES_PER_RECORD_MAX)]


class RecordForm(msgspec.Struct):
    """``{"handle", "values"}``: one line of an import, one item of a batch."""

    handle: str
    values: ValueForms


_SECONDS_MAX: Final = 2**32 - 1


def load_values(forms: list[ValueForm], now: int, *, keep_timestamps: bool = False) -> Values:
    """Return the values of a request, stamped with the server's time.

    The time that a request gives is ignored unless ``keep_timestamps`` (an import).
    Bounds: VALUES_PER_RECORD_MAX, TYPE_BYTES_MAX, RECORD_BYTES_MAX by check_values().
    Errors: WireError or RecordError that names the value and the member.
    """
    values = []
    for position, form in enumerate(forms):
        try:
            values.append(_load_value(form, now, keep_timestamps))
        except NodeError as error:
            error.args = (f"values[{position}].{error.message}",)
            error.message = error.args[0]
            raise
    return tuple(values)


def _load_value(form: ValueForm, now: int, keep_timestamps: bool) -> HandleValue:
    ttl, absolute = limits.TTL_S_DEFAULT, False
    if form.ttl is not None:
        ttl, absolute = _load_ttl(form.ttl)
    timestamp = now
    if keep_timestamps and form.timestamp is not None:
        timestamp = _load_time(form.timestamp, "timestamp")
    references = tuple(load_reference(ref, "references") for ref in form.references or ())
    index = form.index if type(form.index) is int else integer(form.index, "index")
    if not -(2**31) <= index < 2**31:
        raise WireError(f"index: {index} does not fit in 32 bits")
    return HandleValue(
        index,
        form.type,
        form.data.encode() if isinstance(form.data, str) else load_data(form.data),
        ttl,
        absolute,
        PERMISSIONS_USUAL if form.permissions is None else _load_permissions(form.permissions),
        timestamp,
        references,
    )


def _load_ttl(ttl: int | str) -> tuple[int, bool]:
    if isinstance(ttl, str):
        return _load_time(ttl, "ttl"), True
    if not 0 <= ttl <= limits.TTL_S_MAX:
        raise RecordError(f"ttl: {ttl} is not in 0 … {limits.TTL_S_MAX} seconds")
    return ttl, False


def _load_time(text: str, member: str) -> int:
    seconds = parse_utc(text)
    if seconds is None or not 0 <= seconds <= _SECONDS_MAX:
        raise WireError(f"{member}: {text[:40]!r} is no time of the form 2026-01-31T12:00:00Z")
    return seconds


def _load_permissions(text: str) -> int:
    if text == "*":
        return 0b1111
    if re.fullmatch("[01]{4}", text, re.ASCII) is None:
        raise WireError(
            "permissions: four of 0 and 1 (admin read, admin write, public read, public write), such as 1110"
        )
    return int(text, 2)


def parse_values(body: bytes) -> list[ValueForm]:
    """Read the body of a PUT: ``{"values": […]}``, a bare array, or a single value.

    Errors: WireError that says what is wrong and where.
    """
    start = body.lstrip()[:1]
    if start == b"[":
        forms: list[ValueForm] = parse(body, ValueForms)
        return forms
    if start != b"{":
        raise WireError("Invalid JSON in PUT request: expected an object or an array of values")
    members = parse(body, dict[str, msgspec.Raw])
    if "values" in members:
        return parse(body, _ValuesForm).values or []
    if {"index", "type", "data"} <= members.keys():
        return [parse(body, ValueForm)]
    raise WireError("Invalid JSON in PUT request: neither values nor index, type and data")


def parse_handle_member(body: bytes) -> str | None:
    """Return the member ``handle`` of a PUT's body, if there is one. Errors: WireError."""
    if body.lstrip()[:1] != b"{":
        return None
    handle: str | None = parse(body, _HandleForm).handle
    return handle


class _ValuesForm(msgspec.Struct):
    values: ValueForms | None = None


class _HandleForm(msgspec.Struct):
    handle: str | None = None
