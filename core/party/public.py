"""What anybody may know of a party: of an organisation what it said of itself, of a natural person next to nothing.

Source: national-node.md §5; what is left out of an answer is told there (RFC 9537).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.party.fields import identity_names
from core.party.industries import DIVISION_NAMES, SECTION_NAMES
from core.party.regions import full_name, province_of

PERSONS_OWN: Final = frozenset(("website", "profile"))
"""Of a person these are not shown: free text may say who it is."""


def public_fields(fields: Mapping[str, object], *, person: bool) -> dict[str, str]:
    """Return name, website, address, description, industry and region, as far as they are public.

    ``fields``: what is not sealed. What is sealed is in no form of it.
    """
    plain = {name: text for name, text in fields.items() if isinstance(text, str)}
    hidden = identity_names(person=True) | PERSONS_OWN if person else identity_names(person=False)
    section, division = plain.get("industry_section", ""), plain.get("industry_division", "")
    region = plain.get("region", "")
    told: dict[str, str] = {name: plain[name] for name in ("name", "website", "address", "profile") if name in plain}
    told |= {
        "industry": " ".join(
            f"{code} {names.get(code, '')}".strip()
            for code, names in ((section, SECTION_NAMES), (division, DIVISION_NAMES)) if code
        ),
        "region": full_name(province_of(region) if person else region),
    }  # fmt: skip
    return {name: text for name, text in told.items() if text and name not in hidden}
