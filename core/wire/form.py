"""Forms of web pages as browsers send them: ``application/x-www-form-urlencoded``.

Source: URL Standard §5 (WHATWG): UTF-8, "+" for a blank, the rest %-encoded.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from core.errors import WireError

FORM_TYPE: Final = "application/x-www-form-urlencoded"


def decode_form(body: bytes, fields_max: int) -> dict[str, list[str]]:
    """Return the values of each field, in order. Bounds: ``fields_max`` values in all. Errors: WireError."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=fields_max)
    except UnicodeDecodeError:
        raise WireError("表单不是UTF-8文本。The form is not UTF-8") from None
    except ValueError:
        raise WireError(f"表单字段过多。The form has more than {fields_max} fields") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
