"""The exchanges with the reference server that stand in tests/vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.records import HandleValue, ValueReference, Values
from core.wire.jsonform import dump_values
from core.wire.jsontext import quote

FOLDER = Path(__file__).parent.parent / "vectors"


def load(name: str) -> Any:
    """Read one file of vectors."""
    return json.loads((FOLDER / name).read_text("utf-8"))


def value_of(form: dict[str, Any]) -> HandleValue:
    """Read one value as the files have it."""
    return HandleValue(
        form["index"],
        form["type"],
        bytes.fromhex(form["data_hex"]),
        form["ttl"],
        bool(form["ttl_type"]),
        int(form["permissions"], 2),
        form["timestamp"],
        tuple(ValueReference(each["handle"], each["index"]) for each in form["references"]),
    )


def reference_records() -> dict[str, Values]:
    """Return the records that the reference server held."""
    records = load("handle/records.json")["records"]
    return {handle: tuple(map(value_of, values)) for handle, values in records.items()}


def import_lines(records: dict[str, Values]) -> bytes:
    """Return records as `saltern record import` reads them."""
    return b"".join(
        b'{"handle":' + quote(handle).encode() + b',"values":' + dump_values(values) + b"}\n"
        for handle, values in records.items()
    )
