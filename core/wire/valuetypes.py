"""Value types whose data has a structure, and the codec of each.

A type that is not listed is octets, or text where they are UTF-8 (URL, EMAIL,
DESC, HS_ALIAS, HS_SERV, HS_SERV.PREFIX, HS_NAMESPACE, 10320/loc, …). Names are
compared as written: the reference server formats ``hs_admin`` as plain text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from core.records import AdminRecord, PublicKey, SiteInfo, ValueReference
from core.wire.admin import decode_admin, decode_group, encode_admin, encode_group
from core.wire.jws import Jws, decode_jws, encode_jws
from core.wire.publickey import decode_public_key, encode_public_key
from core.wire.site import decode_site, encode_site

Structure = AdminRecord | SiteInfo | PublicKey | tuple[ValueReference, ...] | Jws

HS_ADMIN: Final = "HS_ADMIN"
HS_VLIST: Final = "HS_VLIST"
HS_PUBKEY: Final = "HS_PUBKEY"
HS_SECKEY: Final = "HS_SECKEY"
HS_ALIAS: Final = "HS_ALIAS"
HS_NAMESPACE: Final = "HS_NAMESPACE"
HS_SITE: Final = "HS_SITE"
HS_SITE_6: Final = "HS_SITE.6"
HS_SITE_PREFIX: Final = "HS_SITE.PREFIX"
HS_SERV: Final = "HS_SERV"
HS_SERV_PREFIX: Final = "HS_SERV.PREFIX"
URL: Final = "URL"
GS1_LINK: Final = "GS1_LINK"
"""A link of a GS1 Digital Link resolver, JSON text: ``core/wire/gs1link.py``. No type of the Handle System."""

METADATA_TEMPLATE: Final = "METADATA_TEMPLATE"
"""Binds a record to a version of a metadata template: ``core/wire/metadata.py``. No type of the Handle System."""


class ValueType(NamedTuple):
    """How the data of one value type is read and written."""

    decode: Callable[[bytes], Structure]
    encode: Callable[..., bytes]


_SITE: Final = ValueType(decode_site, encode_site)
_JWS: Final = ValueType(decode_jws, encode_jws)

VALUE_TYPES: Final[dict[str, ValueType]] = {
    HS_ADMIN: ValueType(decode_admin, encode_admin),
    HS_VLIST: ValueType(decode_group, encode_group),
    HS_PUBKEY: ValueType(decode_public_key, encode_public_key),
    HS_SITE: _SITE,
    HS_SITE_6: _SITE,
    HS_SITE_PREFIX: _SITE,
    "HS_NA_DELEGATE": _SITE,  # the older name of HS_SITE.PREFIX
    "HS_SIGNATURE": _JWS,
    "HS_CERT": _JWS,
}
