"""The fields of T1 and T6, subject data: those of a form (``core/party/fields.py``), and how they were verified.

A row has no name of who verified. Fields of identity are None where a party came with its prefix from another node,
which tells none of them; nothing else that is required may be.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.party import fields as party
from core.store.party_rows import Verified
from sync.table import Field

ORGANISATION: Final = "organisation"
PERSON: Final = "person"

_FORM: Final = "subject data, as filed"
_PERSON: Final = "subject data, as filed; of a person, opened with party.keys"
_SEALED: Final = "subject data, opened with party.keys"
_STEPS: Final = "the verification of the party"
_RESULTS: Final = tuple(state.value for state in Verified)


def _kind(field: party.Field) -> str:
    if field.items_max:
        return "texts"
    return "date" if field.kind is party.Kind.PAST_DATE else "text"


def _of_form(field: party.Field) -> Field:
    source = _SEALED if field.identity else _PERSON if field.person else _FORM
    kind = _kind(field)
    return Field(
        field.name, field.numbers, field.label, kind, source, 0 if kind == "date" else field.chars_max,
        field.required and source == _FORM, field.choices, items_max=field.items_max,
    )  # fmt: skip


def _image(name: str, number: int, zh: str) -> Field:
    return Field(name, (number,), zh, "octets", f"the file sync.{name}", limits.UPSTREAM_IMAGE_BYTES_MAX)


_STEP: Final = (
    Field("at_ms", (), "核验时间", "integer", _STEPS, required=True),
    Field("method", (), "核验方式", "text", _STEPS, limits.TRANSFER_WORD_CHARS_MAX, required=True),
    Field("source", (), "核验依据", "text", _STEPS, limits.TRANSFER_SOURCE_CHARS_MAX),
    Field("evidence", (), "核验材料摘要", "digest", f"{_STEPS}: SHA-256 of the file that was looked at"),
    Field("result", (), "该步结果", "text", _STEPS, 11, required=True, choices=_RESULTS),
)

_VERIFICATION: Final = (
    Field("party", (), "主体编号", "text", "the id of the party", limits.PARTY_CODE_CHARS_MAX, required=True),
    Field("kind", (), "主体类型", "text", "the party", 12, required=True, choices=(ORGANISATION, PERSON)),
    Field("verified", (), "核验结果", "text", _STEPS, 11, required=True, choices=_RESULTS),
    Field("steps", (), "核验过程", "list", _STEPS, required=True, items_max=limits.PARTY_STEPS, members=_STEP),
    Field("confirmed", (), "联系信息确认日期", "date", "the party: day of Asia/Shanghai"),
)

_FILED: Final = tuple(map(_of_form, party.FIELDS))
_IMAGES: Final = (
    _image("certificate_image", 6, "单位证件照片"),
    _image("legal_rep_image", 10, "法定代表人证件照片"),
    _image("contact_image", 18, "联系人证件照片"),
)

IMAGES: Final = tuple(field.name for field in _IMAGES)
T1: Final = (*sorted((*_FILED, *_IMAGES), key=lambda field: field.numbers[0]), *_VERIFICATION)
T6: Final = (*_FILED, *_VERIFICATION)
