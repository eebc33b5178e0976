"""Batches: many records in one request, each item ending on its own.

The body is JSON lines or one JSON array of ``{"handle", "values"}``; the answer is
``{"results": [{"identifier", "outcome", ["message"]}, …], "counts": {…}}``, in the
order of the items. A line that cannot be read is an item that was refused; an array
that is no JSON is refused as a whole, since nobody knows where its items end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from core import limits
from core.errors import LimitError, NodeError, Outcome, StoreError, WireError
from core.wire.jsonform import RecordForm
from core.wire.jsontext import parse, quote
from registry.commands import PutBatch, Result
from registry.rows import QuickRows

_ITEM: Final = msgspec.json.Decoder(RecordForm)
_ARRAY: Final = msgspec.json.Decoder(list[RecordForm])
PutForm = Callable[[RecordForm, PutBatch, QuickRows], Outcome]


_REASONS: Final = {
    Outcome.FORBIDDEN: "No HS_ADMIN value gives this identity the right",
    Outcome.HANDLE_NOT_FOUND: "There is no such record",
}


_RULES: Final = {Outcome.FORBIDDEN.value: "record-right", Outcome.HELD.value: "held"}
"""What the journal says of a batch some of whose items ended so."""


def run(command: PutBatch, now_s: int, put: PutForm) -> Result:
    """Run a batch. Bounds: BATCH_ITEMS_MAX."""
    try:
        items = _split(command)
    except NodeError as error:
        return Result(error.ended, message=error.message)
    counts: Counter[str] = Counter()
    lines = []
    quick = QuickRows(now_s, keep_timestamps=command.keep_timestamps)
    for item in items:
        identifier: str | None = None
        message = ""
        try:
            form = item if isinstance(item, RecordForm) else _read(item)
            identifier = form.handle
            outcome = put(form, command, quick)
        except StoreError:
            raise
        except NodeError as error:
            outcome, message = error.ended, error.message or _REASONS.get(error.ended, "")
        ended = outcome._value_  # the value without Enum's descriptor
        counts[ended] += 1
        lines.append(_line(identifier, ended, message))
    totals = ",".join(f'"{ended}":{count}' for ended, count in counts.items())
    body = '{"results":[' + ",".join(lines) + '],"counts":{' + totals + "}}"
    refused = [rule for ended, rule in _RULES.items() if ended in counts]
    return Result(Outcome.OK, body=body.encode(), rule=refused[0] if refused else "")


def _split(command: PutBatch) -> Sequence[RecordForm | bytes]:
    """Return the items: the lines, or an array read at once where all is right, else the octets of each."""
    items: Sequence[RecordForm | bytes]
    if command.lines:
        items = [line for line in command.body.split(b"\n") if line.strip()]
    else:
        try:
            items = _ARRAY.decode(command.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            items = [bytes(item) for item in parse(command.body, list[msgspec.Raw])]
    if len(items) > limits.BATCH_ITEMS_MAX:
        raise LimitError(f"A batch has at most {limits.BATCH_ITEMS_MAX} records, this has {len(items)}")
    return items


def _read(item: bytes) -> RecordForm:
    try:
        return _ITEM.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        parse(item, RecordForm)  # the same again, for its message
    raise WireError("Invalid JSON")


def _line(identifier: str | None, ended: str, message: str) -> str:
    name = "null" if identifier is None else quote(identifier[: limits.HANDLE_CHARS_MAX])
    tail = f',"message":{quote(message)}' if message else ""
    return f'{{"identifier":{name},"outcome":"{ended}"{tail}}}'
