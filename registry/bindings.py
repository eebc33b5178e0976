"""Records that are bound to a metadata template: what a write that leaves one bound must keep.

1. A record names one version exactly, ``CODE@VERSION``. Nothing is chosen for it: what was registered is
   never altered (Measures art. 11).
2. Each required item is there as a value of the type that the item names, and the data of every such value
   is right. All faults are told at once, each with its path: the item, or item and index. Other values are free.
3. Only a published version binds. Of a withdrawn one those records alone that were bound to it before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from core import limits
from core.errors import NodeError, Outcome, RecordError, StoreError
from core.party.rules import Fault
from core.records import HandleValue, Values
from core.store.engine import Table
from core.store.template_rows import TemplateRow, TemplateState, unpack_template
from core.wire.metadata import (
    DATA_TYPES,
    Binding,
    Item,
    MetadataTemplate,
    fold,
    is_binding,
    parse_binding,
    template_key,
)
from core.wire.valuetypes import METADATA_TEMPLATE
from registry.refusals import fault, refusal
from registry.staging import Staging
from registry.templates import named, versions_of


def check_binding(staging: Staging, old: Values, new: Values) -> None:
    """Check the values that a record is to have; ``old``: those that it has. Errors: RecordError."""
    bound = [value for value in new if is_binding(value.type)]
    if not bound:
        return
    if len(bound) > 1:
        raise refusal("binding-once", Outcome.INVALID_VALUE, type=METADATA_TEMPLATE)
    binding = parse_binding(bound[0].data)
    if binding is None:
        raise refusal("binding-form", Outcome.INVALID_VALUE, type=METADATA_TEMPLATE)
    try:
        row = _published(staging, binding, old)
    except StoreError as error:  # a row that cannot be read fails the records that are bound to it, and no others
        raise RecordError(error.message, outcome=Outcome.INTERNAL) from None
    faults = list(_faults(row.template, new))
    if faults:
        raise _refused(binding, faults)


def _published(staging: Staging, binding: Binding, old: Values) -> TemplateRow:
    """Return the version that a record is to be bound to. Errors: RecordError."""
    key = template_key(*binding) if binding.version else b""
    packed = staging.get(Table.TEMPLATES, key)
    row = None if packed is None else unpack_template(packed)
    if row is not None and row.state is TemplateState.PUBLISHED:
        return row
    if row is not None and row.state is TemplateState.WITHDRAWN and key in _keys(old):
        return row
    names = f"{binding.code}@{binding.version}" if binding.version else binding.code
    published = named([row for row in versions_of(staging, binding.code) if row.state is TemplateState.PUBLISHED])
    if not binding.version:
        raise refusal("binding-version", Outcome.INVALID_VALUE, template=names, published=published)
    if row is None:
        raise refusal("binding-unknown", Outcome.INVALID_VALUE, template=names, published=published)
    if row.state is TemplateState.DRAFT:
        raise refusal("binding-draft", Outcome.INVALID_VALUE, template=names)
    raise refusal("binding-withdrawn", Outcome.INVALID_VALUE, template=names, published=published)


def _keys(values: Values) -> Iterator[bytes]:
    """Yield what the values bind to."""
    for value in values:
        binding = parse_binding(value.data) if is_binding(value.type) else None
        if binding is not None and binding.version:
            yield template_key(*binding)


def _faults(template: MetadataTemplate, values: Values) -> Iterator[Fault]:
    given: defaultdict[str, list[HandleValue]] = defaultdict(list)
    for value in values:
        given[fold(value.type)].append(value)
    for item in template.items:
        found = given.get(fold(item.name), ())
        if not found and item.required:
            yield fault(item.name, "item-required", alias=item.alias)
        for value in found:
            wrong = _wrong(item, value)
            if wrong is not None:
                yield wrong


def _wrong(item: Item, value: HandleValue) -> Fault | None:
    """Return what is wrong with the data of an item; never the data itself."""
    path = f"{item.name}[{value.value_index}]"
    try:
        text = value.data.decode()
    except UnicodeDecodeError:
        return fault(path, "item-octets", alias=item.alias)
    kind = DATA_TYPES[item.type]
    if not text:
        return fault(path, "item-empty", alias=item.alias)
    if len(text) > (kind.chars_max or item.length):
        return fault(path, "item-length", alias=item.alias, chars=kind.chars_max or item.length)
    if not kind.reads(text):
        return fault(path, "item-type", alias=item.alias, kind_zh=kind.zh, kind_en=kind.en)
    return None


def _refused(binding: Binding, faults: list[Fault]) -> NodeError:
    """Return the refusal that tells all faults. Bounds: METADATA_FAULTS_TOLD one by one."""
    shown = faults[: limits.METADATA_FAULTS_TOLD]
    more = len(faults) - len(shown)
    zh = "；".join(f"{each.path} {each.zh}" for each in shown) + (f"；另有{more}处" if more else "")
    en = "; ".join(f"{each.path} {each.en}" for each in shown) + (f"; and {more} more" if more else "")
    template = f"{binding.code}@{binding.version}"
    return refusal("binding-items", Outcome.INVALID_VALUE, template=template, faults_zh=zh, faults_en=en)
