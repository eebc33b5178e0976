"""The check of subject data: every fault of a form at once, each with its field and rule.

1. A fault refuses the form; a warning is for the reviewer, who has the certificates before
   him. Our tables age, so what they do not know is a warning where the rest fits.
2. Total: any JSON value gives a result. Values of a wrong type are not looked into, texts are
   measured before they are read, unknown fields are counted: cost is linear in the form's texts.
3. Nothing that the form holds is repeated in a message. A path is the name of a field; a name
   that is not of the form of ours is replaced by its place ("#3": the third field).
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from core.limits import PARTY_FORM_FIELDS_MAX, PARTY_UNKNOWN_NAMED_MAX
from core.party.fields import BY_NAME, FIELDS, HINTS, IDENTITY_CARD, NO_LICENCE, USCC, Field
from core.party.industries import DIVISION_NAMES, SECTION_NAMES, SECTION_OF_DIVISION, is_industry
from core.party.numbers import identity_card_region, uscc_region
from core.party.readers import READERS, Asked, Value, is_visible
from core.party.regions import NATIONAL, Known, look_up, overlap
from core.party.rules import Fault, RuleError, fault, form_fault

_NAME_LIKE: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
"""A name that may be shown: no digits, so that no number of a person is."""

_GIVEN_TOGETHER: Final = (("contact_cert_type", "contact_id"), ("contact_id", "contact_cert_type"))


class Checked(NamedTuple):
    """What a form says, as far as it is right, and all that is wrong with it.

    ``values`` holds the fields that were given and are right by themselves, normalised: text,
    a date, or the items of a list.
    """

    values: Mapping[str, Value]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]

    def __repr__(self) -> str:
        """Show no value: they are personal."""
        rules = [f"{each.path}: {each.rule}" for each in (*self.faults, *self.warnings)]
        return f"Checked({sorted(self.values)}, {rules})"

    @property
    def right(self) -> bool:
        """Whether there is no fault; there may be warnings."""
        return not self.faults


def check_subject(form: object, today: datetime.date) -> Checked:
    """Check subject data: an object of names and values as JSON has them.

    A value is text; of a list, also a list of texts; None and blank text are as if not given.
    """
    if not isinstance(form, Mapping):
        return Checked({}, (form_fault("", "form"),), ())
    values: dict[str, Value] = {}
    faults = []
    for field in FIELDS:
        try:
            text = _text_of(form.get(field.name), field)
            if text:
                cert_type = values.get(field.typed_by, "")
                values[field.name] = READERS[field.kind](text, Asked(field, today, str(cert_type)))
            elif field.required:
                raise RuleError("required")
        except RuleError as error:
            faults.append(fault(field, error.rule, **error.details))
    wrong = {each.path for each in faults}
    faults += (each for each in _contradictions(values) if each.path not in wrong)
    return Checked(values, (*faults, *_unknown(form)), tuple(_warnings(values, today)))


def _text_of(raw: object, field: Field) -> str:
    """Return a value as one text, "" if there is none. Errors: RuleError for type, length and characters."""
    if raw is None:
        return ""
    if field.items_max and isinstance(raw, list | tuple):
        if len(raw) > field.items_max:
            raise RuleError("items", items=field.items_max)
        texts = [item for item in raw if isinstance(item, str)]
        if len(texts) < len(raw):
            raise RuleError("type.list")
        if sum(map(len, texts)) > field.chars_max:
            raise RuleError("length")
        raw = ";".join(texts)
    if not isinstance(raw, str):
        raise RuleError("type.list" if field.items_max else "type")
    text = raw.strip()
    if len(text) > field.chars_max:
        raise RuleError("length")
    if not is_visible(text):
        raise RuleError("text.character")
    return text


def _contradictions(values: Mapping[str, Value]) -> Iterator[Fault]:
    """Yield faults between fields that are right by themselves."""
    for given, other in _GIVEN_TOGETHER:
        if given in values and other not in values:
            yield fault(BY_NAME[other], "required-with", other=BY_NAME[given].name, other_label=BY_NAME[given].label)
    section, division = values.get("industry_section"), values.get("industry_division")
    if section in SECTION_NAMES and division in DIVISION_NAMES:
        right = SECTION_OF_DIVISION[str(division)]
        if right != section:
            yield fault(BY_NAME["industry_division"], "industry.section", section=right)
    established, until = values.get("established"), values.get("valid_until")
    if isinstance(established, datetime.date) and isinstance(until, datetime.date) and until < established:
        yield fault(BY_NAME["valid_until"], "date.order")


def _unknown(form: Mapping[object, object]) -> Iterator[Fault]:
    """Yield faults of fields that are not ours. Bounds: names so many, looks at so many."""
    if len(form) > PARTY_FORM_FIELDS_MAX:
        yield form_fault("", "form.fields", fields=PARTY_FORM_FIELDS_MAX)
    looked_at = islice(enumerate(form, 1), PARTY_FORM_FIELDS_MAX)
    unknown = [(place, name) for place, name in looked_at if name not in BY_NAME and name not in HINTS]
    for place, name in unknown[:PARTY_UNKNOWN_NAMED_MAX]:
        shown = isinstance(name, str) and _NAME_LIKE.fullmatch(name)
        near = difflib.get_close_matches(str(name).lower(), BY_NAME, 1) if shown else []
        path = str(name) if shown else f"#{place}"
        near_zh = f"；相近的是{near[0]}（{BY_NAME[near[0]].label}）" if near else ""
        yield form_fault(path, "unknown-field", near_zh=near_zh, near_en=f"; near it: {near[0]}" if near else "")
    if len(unknown) > PARTY_UNKNOWN_NAMED_MAX:
        yield form_fault("", "unknown-fields")


# --- warnings ----------------------------------------------------------------


def _warnings(values: Mapping[str, Value], today: datetime.date) -> Iterator[Fault]:
    yield from _region_warnings(values)
    yield from _identity_card_warnings(values)
    yield from _industry_warnings(values)
    until = values.get("valid_until")
    if isinstance(until, datetime.date) and until < today:
        yield fault(BY_NAME["valid_until"], "date.expired")
    licences = values.get("domain_licences")
    if licences and licences != (NO_LICENCE,) and "licence_number" not in values:
        yield fault(BY_NAME["licence_number"], "licence.number")


def _region_warnings(values: Mapping[str, Value]) -> Iterator[Fault]:
    """Yield warnings of the region, and of the one in a USCC, which may be a former one by right."""
    region = str(values.get("region", ""))
    if region and look_up(region) is Known.UNKNOWN_COUNTY:
        yield fault(BY_NAME["region"], "region.county")
    if region and look_up(region) is Known.FORMER:
        yield fault(BY_NAME["region"], "region.former")
    if values.get("cert_type") == USCC and "uscc" in values:
        given_in = uscc_region(str(values["uscc"]))
        if look_up(given_in) is Known.UNKNOWN_COUNTY and given_in != NATIONAL:
            yield fault(BY_NAME["uscc"], "uscc.county")
        if region and given_in != NATIONAL and not overlap(given_in, region):
            yield fault(BY_NAME["uscc"], "uscc.other-region")


def _identity_card_warnings(values: Mapping[str, Value]) -> Iterator[Fault]:
    for field in FIELDS:
        is_card = values.get(field.typed_by) == IDENTITY_CARD and field.name in values
        if is_card and look_up(identity_card_region(str(values[field.name]))) is Known.UNKNOWN_COUNTY:
            yield fault(field, "identity-card.county")


def _industry_warnings(values: Mapping[str, Value]) -> Iterator[Fault]:
    if "industry_section" in values and values["industry_section"] not in SECTION_NAMES:
        yield fault(BY_NAME["industry_section"], "industry.unknown")
    if "industry_division" in values and values["industry_division"] not in DIVISION_NAMES:
        yield fault(BY_NAME["industry_division"], "industry.unknown")
    served = values.get("service_industries", ())
    if isinstance(served, tuple) and not all(map(is_industry, served)):
        yield fault(BY_NAME["service_industries"], "industry.unknown")
