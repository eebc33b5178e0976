"""A metadata template, and records that are bound to it: what tests of templates begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.records import HandleValue, Values
from core.wire.valuetypes import METADATA_TEMPLATE

SAMPLE = Path(__file__).parent.parent / "vectors" / "template.json"
"""The example of docs/reference/templates.md."""

CODE = "SALT-PRODUCT"
GOOD = {
    "PRODUCT_NAME": "加碘食用盐",
    "NET_CONTENT": "400",
    "IODINE": "25.5",
    "PRODUCED": "2026-10-01",
    "PACKED_AT": "2026-10-01T08:30:00+08:00",
    "IODISED": "true",
    "DETAILS": "https://salt.example.cn/p/1",
}
"""What fits the sample, each item with its data."""


def template_members(**changes: object) -> dict[str, Any]:
    """Return the form of the sample, with other members; None leaves one out."""
    members = json.loads(SAMPLE.read_bytes()) | changes
    return {name: value for name, value in members.items() if value is not None}


def template_form(**changes: object) -> bytes:
    """Return the form of the sample as JSON, with other members."""
    return json.dumps(template_members(**changes), ensure_ascii=False).encode()


def bound(data: str = f"{CODE}@1.0", **changes: str | bytes | None) -> Values:
    """Return the values of a record that is bound to the sample, with other data; None leaves an item out."""
    values = [HandleValue(1, METADATA_TEMPLATE, data.encode()), HandleValue(2, "URL", b"https://salt.example.cn")]
    given = {**GOOD, **changes}
    for index, (name, text) in enumerate(given.items(), 10):
        if text is not None:
            values.append(HandleValue(index, name, text.encode() if isinstance(text, str) else text))
    return tuple(values)


def as_json(values: Values) -> list[dict[str, Any]]:
    """Return values as the JSON interface takes them."""
    return [{"index": value.value_index, "type": value.type, "data": value.data.decode()} for value in values]
