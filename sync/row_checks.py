"""What whoever receives a row looks at: form, kinds, bounds, choices, and that the key is that of the row.

Pure, and total on any octets. Rows of T9 come by the million: they have a way of their own that only says whether all
is well (about 4 µs); what is not goes the common way, which tells why.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from core import limits
from core.clock import parse_day
from core.errors import IdentifierError, WireError
from core.ident.handle import HandleRules, check_prefix
from core.party import fields as party
from core.party.check import check_subject
from core.party.contacts import parse_address
from core.party.rules import Fault, RuleError
from core.store.monitor_rows import is_event_number
from core.store.record_rows import record_key
from core.wire.metadata import is_code, is_item_name, is_version, template_key
from sync import fields
from sync.monitor.figures import NODE as THIS_NODE
from sync.rules import field_fault, row_fault
from sync.subject_fields import PERSON
from sync.table import Field, TableKind, unpack_row

Named = Mapping[str, Any]

OPERATOR_KEY: Final = b"operator"
"""The key of the one row of T1."""

NODE: Final = b"node/"
"""What the keys of T5 begin with; no prefix is written so, for keys have none in small letters."""

_DIGEST_BYTES: Final = 32
_PREFIX_RULES: Final = HandleRules(prefix_length_max=limits.PREFIX_CHARS_MAX)
_NEVER: Final = datetime.date.max
"""Which day it is, for checks that are about form alone: nothing is in the future."""


def faults_of(table: TableKind, key: bytes, row: bytes) -> list[Fault]:
    """Return what is wrong with a row, at most UPSTREAM_FAULTS_TOLD faults."""
    if len(row) > limits.UPSTREAM_ROW_BYTES_MAX:
        return [row_fault("row-size", most=limits.UPSTREAM_ROW_BYTES_MAX)]
    try:
        values = unpack_row(row)
    except WireError:
        return [row_fault("row-form")]
    if table.name == "T9" and is_right_identifier(key, values):
        return []
    if len(values) != len(table.fields):
        return [row_fault("row-fields", fields=len(table.fields))]
    faults = list(islice(_faults(table, key, values), limits.UPSTREAM_FAULTS_TOLD + 1))
    if len(faults) > limits.UPSTREAM_FAULTS_TOLD:
        faults[-1] = row_fault("row-faults")
    return faults


def _faults(table: TableKind, key: bytes, values: list[Any]) -> Iterator[Fault]:
    wrong = False
    for field, value in zip(table.fields, values, strict=True):
        for fault in _field_faults(field, value, field.name):
            wrong = True
            yield fault
    if wrong:  # what is looked at beyond rests on values of the right kinds
        return
    named = dict(zip((field.name for field in table.fields), values, strict=True))
    yield from _BEYOND.get(table.name, _nothing)(table, named)
    if len(key) > limits.UPSTREAM_KEY_BYTES_MAX or not _FITS[table.name](key, named):
        yield row_fault("row-key")


# --- T9 ---
_TEXTS: Final = tuple(field.chars_max for field in fields.T9 if field.kind != "integer")
_LENGTHS: Final = tuple(most or len("2026-11-22") for most in _TEXTS)
_SERIAL: Final = fields.T9[-2]
_COUNT: Final = fields.T9[-1]
_IDENTIFIER_FIELDS: Final = len(fields.T9)


def is_right_identifier(key: bytes, values: list[Any]) -> bool:
    """Whether nothing is wrong with a row of T9."""
    if len(values) != _IDENTIFIER_FIELDS:
        return False
    *texts, product, serial_length, count = values
    for text, most in zip(texts, _LENGTHS, strict=False):
        if text is not None and (text.__class__ is not str or len(text) > most):
            return False
    identifier, created = texts[0], texts[1]
    if not identifier or (created is not None and not _is_day(created)):
        return False
    if product is None:
        if serial_length is not None or count is not None:
            return False
    elif not (
        product.__class__ is str
        and len(product) <= _LENGTHS[-1]
        and serial_length.__class__ is int
        and _SERIAL.low <= serial_length <= _SERIAL.high
        and count.__class__ is int
        and _COUNT.low <= count <= _COUNT.high
    ):
        return False
    return (identifier.encode() == key and len(key) <= limits.UPSTREAM_KEY_BYTES_MAX) or _is_key_of(key, identifier)


def _is_key_of(key: bytes, identifier: str) -> bool:
    """Whether a key is that of an identifier; how case is looked at is the node's affair."""
    octets = identifier.encode()
    return key in (record_key(octets), record_key(octets.upper()), record_key(_PREFIX_FOLDED.fold(octets)))


_PREFIX_FOLDED: Final = HandleRules(case_sensitive=True)


@lru_cache(maxsize=1_024)
def _is_day(text: str) -> bool:
    return parse_day(text) is not None


# --- one field ---
def _field_faults(field: Field, value: Any, path: str) -> Iterator[Fault]:
    if value is None:
        if field.required:
            yield field_fault("row-required", field, path)
        return
    kind, look = _KINDS[field.kind]
    if type(value) is not kind:
        yield field_fault("row-kind", field, path)
    else:
        yield from look(field, value, path)


def _text(field: Field, value: str, path: str) -> Iterator[Fault]:
    if field.choices:
        if value not in field.choices:
            yield field_fault("row-choice", field, path, choices="、".join(field.choices))
    elif len(value) > field.chars_max:
        yield field_fault("row-length", field, path, most=field.chars_max)
    elif field.required and not value:
        yield field_fault("row-required", field, path)


def _texts(field: Field, value: list[Any], path: str) -> Iterator[Fault]:
    if len(value) > field.items_max:
        yield field_fault("row-items", field, path, items=field.items_max)
        return
    for place, each in enumerate(value, 1):
        if type(each) is not str:
            yield field_fault("row-kind", field, f"{path}[{place}]")
        else:
            yield from _text(field, each, f"{path}[{place}]")


def _integer(field: Field, value: int, path: str) -> Iterator[Fault]:
    if not field.low <= value <= field.high:
        yield field_fault("row-range", field, path, low=field.low, high=field.high)


def _date(field: Field, value: str, path: str) -> Iterator[Fault]:
    if not _is_day(value):
        yield field_fault("row-kind", field, path)


def _address(field: Field, value: str, path: str) -> Iterator[Fault]:
    if not _is_address(value):
        yield field_fault("row-kind", field, path)


def _is_address(text: str) -> bool:
    try:
        return parse_address(text) == text
    except RuleError:
        return False


def _octets(field: Field, value: bytes, path: str) -> Iterator[Fault]:
    if len(value) > field.chars_max:
        yield field_fault("row-length", field, path, most=field.chars_max)


def _digest(field: Field, value: bytes, path: str) -> Iterator[Fault]:
    if len(value) != _DIGEST_BYTES:
        yield field_fault("row-kind", field, path)


def _flag(*_: object) -> Iterator[Fault]:
    return iter(())


def _list(field: Field, value: list[Any], path: str) -> Iterator[Fault]:
    if len(value) > field.items_max:
        yield field_fault("row-items", field, path, items=field.items_max)
        return
    for place, each in enumerate(value, 1):
        if type(each) is not list or len(each) != len(field.members):
            yield field_fault("row-kind", field, f"{path}[{place}]")
            continue
        for member, inner in zip(field.members, each, strict=True):
            yield from _field_faults(member, inner, f"{path}[{place}].{member.name}")


_KINDS: Final[dict[str, tuple[type, Callable[[Field, Any, str], Iterator[Fault]]]]] = {
    "text": (str, _text), "texts": (list, _texts), "integer": (int, _integer), "flag": (bool, _flag),
    "date": (str, _date), "address": (str, _address), "octets": (bytes, _octets), "digest": (bytes, _digest),
    "list": (list, _list),
}  # fmt: skip


# --- what a row says as a whole ---
def _nothing(*_: object) -> Iterator[Fault]:
    return iter(())


def _subject_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    """Yield faults of subject data, as those of a form; what identity data lacks is none."""
    form = {field.name: row[field.name] for field in party.FIELDS if row[field.name] is not None}
    checked = check_subject(form, _NEVER)
    hidden, wrong = party.identity_names(person=row["kind"] == PERSON), set()
    for fault in checked.faults:
        wrong.add(fault.path)
        if not (row[fault.path] is None and fault.path in hidden):
            yield fault
    for field in table.fields:
        if field.name in form and field.name not in wrong:
            value = checked.values.get(field.name)
            if (list(value) if isinstance(value, tuple) else value and str(value)) != form[field.name]:
                yield field_fault("row-normal", field)


def _route_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    yield from _prefix_faults(table, row)
    members = {member.name: member for member in _member(table, "addresses").members}
    for place, (ip_type, address, *ports) in enumerate(row["addresses"], 1):
        path = f"addresses[{place}]"
        if (":" in address) != (ip_type == "IPv6"):
            yield field_fault("row-ip-type", members["address"], f"{path}.address")
        if not any(ports):
            yield field_fault("row-port", _member(table, "addresses"), path)


def _prefix_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    try:
        check_prefix(row["prefix"], _PREFIX_RULES)
    except IdentifierError:
        yield field_fault("row-kind", _member(table, "prefix"))


def _template_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    for name, fits in (("code", is_code), ("version", is_version)):
        if not fits(row[name]):
            yield field_fault("row-kind", _member(table, name))
    field = _member(table, "items")
    for place, item in enumerate(row["items"], 1):
        if not is_item_name(item[0]):
            yield field_fault("row-kind", field.members[0], f"items[{place}].name")


def _identifier_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    if len({row[name] is None for name in ("product", "serial_length", "count")}) > 1:
        yield field_fault("row-lot", _member(table, "count"))


def _member(table: TableKind, name: str) -> Field:
    return next(field for field in table.fields if field.name == name)


def _figure_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    """Yield faults of the figures of a day: known together or not at all, and the least is not above the most."""
    for name in ("resolution", "registration"):
        answers, mean, most, most_s, least, least_s, peak, peak_s = (row[f"{name}_{each}"] for each in _FIGURES)
        measured = (mean, most, most_s, least, least_s)
        if any((each is None) is bool(answers) for each in measured) or (peak is None) is not (peak_s is None):
            yield field_fault("row-figures", _member(table, f"{name}_answers"))
        elif answers and not (least <= mean <= most and (peak is None or 0 < peak <= answers)):
            yield field_fault("row-figures", _member(table, f"{name}_mean_us"))
    yield from _subject_of_measure_faults(table, row)


_FIGURES: Final = ("answers", "mean_us", "max_us", "max_s", "min_us", "min_s", "peak", "peak_s")


def _event_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    if not is_event_number(_octets_of(row["number"])):
        yield field_fault("row-kind", _member(table, "number"))
    ends = row["ends"]
    if (ends is not None) is not (row["status"] == _RECOVERED):
        yield field_fault("row-ends", _member(table, "ends"))
    elif ends is not None and not is_event_number(_octets_of(ends)):
        yield field_fault("row-kind", _member(table, "ends"))
    yield from _subject_of_measure_faults(table, row)


_RECOVERED: Final = 2


def _subject_of_measure_faults(table: TableKind, row: Named) -> Iterator[Fault]:
    if row["subject"] != THIS_NODE:
        try:
            check_prefix(row["subject"], _PREFIX_RULES)
        except IdentifierError:
            yield field_fault("row-kind", _member(table, "subject"))


_BEYOND: Final[dict[str, Callable[[TableKind, Named], Iterator[Fault]]]] = {
    **dict.fromkeys(("T1", "T6"), _subject_faults),
    **dict.fromkeys(("T2", "T7"), _route_faults),
    **dict.fromkeys(("T3", "T8", "T10"), _prefix_faults),
    **dict.fromkeys(("T4", "T11"), _template_faults),
    "T9": _identifier_faults,
    "T12": _figure_faults,
    "T13": _event_faults,
}


# --- keys ---
def operator_key(_: Named) -> bytes:
    """Return the key of T1."""
    return OPERATOR_KEY


def party_key(row: Named) -> bytes:
    """Return the key of a row of T6."""
    return _octets_of(row["party"])


def route_key(row: Named) -> bytes:
    """Return the key of a row of T2 or T7."""
    return _octets_of(row["kind"]) + b"/" + _octets_of(row["prefix"]).upper()


def day_prefix_key(row: Named) -> bytes:
    """Return the key of a row of T3 or T8."""
    return _octets_of(row["day"]) + b"/" + _octets_of(row["prefix"]).upper()


def day_subject_key(row: Named) -> bytes:
    """Return the key of a row of T12."""
    subject = _octets_of(row["subject"])
    return _octets_of(row["day"]) + b"/" + (subject if row["subject"] == THIS_NODE else subject.upper())


def event_key(row: Named) -> bytes:
    """Return the key of a row of T13."""
    return _octets_of(row["number"])


def version_key(row: Named) -> bytes:
    """Return the key of a row of T4 or T11, whose code and version are right."""
    return template_key(row["code"], row["version"])


def application_key(row: Named) -> bytes:
    """Return the key of a row of T5 or T10."""
    prefix = row.get("prefix")
    return (NODE if prefix is None else _octets_of(prefix).upper() + b"/") + _octets_of(row["name"])


def _octets_of(text: str) -> bytes:
    return text.encode(errors="replace")


def _fits(key_of: Callable[[Named], bytes]) -> Callable[[bytes, Named], bool]:
    return lambda key, row: key == key_of(row)


def _fits_version(key: bytes, row: Named) -> bool:
    return is_code(row["code"]) and is_version(row["version"]) and key == version_key(row)


_FITS: Final[dict[str, Callable[[bytes, Named], bool]]] = {
    "T1": _fits(operator_key),
    **dict.fromkeys(("T2", "T7"), _fits(route_key)),
    **dict.fromkeys(("T3", "T8"), _fits(day_prefix_key)),
    **dict.fromkeys(("T4", "T11"), _fits_version),
    **dict.fromkeys(("T5", "T10"), _fits(application_key)),
    "T6": _fits(party_key),
    "T12": _fits(day_subject_key),
    "T13": _fits(event_key),
    "T9": lambda key, row: _is_key_of(key, row["identifier"]),
}
