"""The fields of table T6, enterprise subject data, as one table.

T6 has 42 fields: T1 without its three certificate images (6, 10, 18), and keeps T1's numbers.
A form has as many, cut a little differently: ``region`` is one code for 省, 市 and 区 (25 to
27), and the public website (45) has a field each for name, domain and addresses.

Source: the national node's tables T1 and T6. Where these give no Chinese label (31, 35 to 39,
parts of 45) it is ours.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from core.limits import (
    DOMAIN_CHARS_MAX,
    EMAIL_CHARS_MAX,
    PARTY_ADDRESS_CHARS_MAX,
    PARTY_CERTIFICATE_CHARS_MAX,
    PARTY_CODE_CHARS_MAX,
    PARTY_ITEMS_MAX,
    PARTY_LIST_CHARS_MAX,
    PARTY_NAME_CHARS_MAX,
    PARTY_PERSON_CHARS_MAX,
    PARTY_PROFILE_CHARS_MAX,
    PARTY_TEXT_CHARS_MAX,
    PARTY_URL_CHARS_MAX,
)


class Kind(Enum):
    """What a field holds; ``core.party.readers`` has a reader for each."""

    TEXT = "text"
    CHOICE = "choice"
    CHOICES = "choices"  # several of them
    ORGANISATION_CERTIFICATE = "organisation-certificate"  # by default a USCC
    PERSON_CERTIFICATE = "person-certificate"  # by default a resident identity card
    PERSON_NAME = "person-name"
    REGION = "region"
    SECTION = "section"
    DIVISION = "division"
    INDUSTRIES = "industries"  # several sections, divisions, groups or classes
    PHONE = "phone"
    EMAIL = "email"
    URL = "url"
    DOMAIN = "domain"
    PAST_DATE = "past-date"
    VALIDITY = "validity"  # a date, or LONG_TERM
    ADDRESSES = "addresses"  # IPv4 and IPv6


USCC: Final = "统一社会信用代码"
IDENTITY_CARD: Final = "中国居民身份证"
PASSPORT: Final = "护照"
OTHER: Final = "其他"
NO_LICENCE: Final = "否"
LONG_TERM: Final = "长期"

NATURES: Final = ("国有控股", "民营控股", "外商控股", "事业单位", "民营非盈利组织")
ORGANISATION_CERTIFICATES: Final = (USCC, OTHER)
PERSON_CERTIFICATES: Final = (IDENTITY_CARD, PASSPORT, OTHER)
DOMAIN_LICENCES: Final = (
    "域名根服务器运行机构许可证",
    "域名注册管理机构许可证",
    "域名注册服务机构许可证",
    "增值电信业务经营许可证",
    NO_LICENCE,
)


class Field(NamedTuple):
    """One field of a form.

    ``numbers``: of the fields of T1 that it fills. ``identity``: personal data, encrypted at
    rest and never shown publicly. ``person``: the same, but only where the party is a person.
    ``chars_max`` counts the whole value as typed, ``items_max`` what a list holds (0: no list).
    ``typed_by``: the field that says what kind of certificate a number belongs to.
    """

    name: str
    numbers: tuple[int, ...]
    label: str
    kind: Kind
    chars_max: int
    required: bool = False
    identity: bool = False
    person: bool = False
    choices: tuple[str, ...] = ()
    items_max: int = 0
    typed_by: str = ""


_K = Kind
_TEXT: Final = PARTY_TEXT_CHARS_MAX
_CODE: Final = PARTY_CODE_CHARS_MAX
_PERSON: Final = PARTY_PERSON_CHARS_MAX
_NUMBER: Final = PARTY_CERTIFICATE_CHARS_MAX
_LIST: Final = PARTY_LIST_CHARS_MAX
_ITEMS: Final = PARTY_ITEMS_MAX
_YES: Final = True

FIELDS: Final = (
    Field("name", (1,), "单位名称", _K.TEXT, PARTY_NAME_CHARS_MAX, _YES, person=True),
    Field("nature", (2,), "单位性质", _K.CHOICE, _TEXT, _YES, choices=NATURES),
    Field("address", (3,), "单位地址", _K.TEXT, PARTY_ADDRESS_CHARS_MAX, _YES, person=True),
    Field("cert_type", (4,), "单位证件类型", _K.CHOICE, _TEXT, _YES, choices=ORGANISATION_CERTIFICATES),
    Field("uscc", (5,), "单位证件号", _K.ORGANISATION_CERTIFICATE, _NUMBER, _YES, person=True, typed_by="cert_type"),
    Field("legal_rep", (7,), "法定代表人姓名", _K.PERSON_NAME, _PERSON, _YES, identity=True),
    Field("legal_rep_cert_type", (8,), "法定代表人证件类型", _K.CHOICE, _TEXT, _YES, choices=PERSON_CERTIFICATES),
    Field(
        "legal_rep_id",
        (9,),
        "法定代表人证件号",
        _K.PERSON_CERTIFICATE,
        _NUMBER,
        _YES,
        identity=True,
        typed_by="legal_rep_cert_type",
    ),
    Field("profile", (11,), "单位简介", _K.TEXT, PARTY_PROFILE_CHARS_MAX),
    Field("industry_section", (12,), "行业类型", _K.SECTION, _CODE, _YES),
    Field("industry_division", (13,), "行业大类", _K.DIVISION, _CODE, _YES),
    Field("contact", (14,), "联系人姓名", _K.PERSON_NAME, _PERSON, _YES, identity=True),
    Field("phone", (15,), "联系人手机号", _K.PHONE, _CODE, _YES, identity=True),
    Field("contact_cert_type", (16,), "联系人证件类型", _K.CHOICE, _TEXT, choices=PERSON_CERTIFICATES),
    Field(
        "contact_id",
        (17,),
        "联系人证件号",
        _K.PERSON_CERTIFICATE,
        _NUMBER,
        identity=True,
        typed_by="contact_cert_type",
    ),
    Field("email", (19,), "联系人邮箱", _K.EMAIL, EMAIL_CHARS_MAX, _YES, identity=True),
    Field("website", (20,), "官方网站", _K.URL, PARTY_URL_CHARS_MAX),
    Field("registered_by", (21,), "注册机关", _K.TEXT, _TEXT),
    Field("capital", (22,), "注册资本", _K.TEXT, _TEXT),
    Field("established", (23,), "成立日期", _K.PAST_DATE, _CODE, _YES),
    Field("valid_until", (24,), "有效期", _K.VALIDITY, _CODE),
    Field("region", (25, 26, 27), "省、市、区", _K.REGION, _CODE, _YES),
    Field("legal_rep_email", (28,), "法定代表人邮箱", _K.EMAIL, EMAIL_CHARS_MAX, identity=True),
    Field("legal_rep_phone", (29,), "法定代表人手机号", _K.PHONE, _CODE, identity=True),
    Field("legal_rep_fax", (30,), "法定代表人传真", _K.PHONE, _CODE, identity=True),
    Field("domain_licences", (31,), "持有的域名许可证", _K.CHOICES, _LIST, choices=DOMAIN_LICENCES, items_max=_ITEMS),
    Field("licence_number", (32,), "许可证号", _K.TEXT, _TEXT),
    Field("system_built_by", (33,), "服务系统建设", _K.TEXT, _TEXT),
    Field("system_run_by", (34,), "服务系统运营", _K.TEXT, _TEXT),
    Field("registration_system_location", (35,), "注册系统所在地", _K.TEXT, _TEXT),
    Field("registration_data_location", (36,), "注册数据所在地", _K.TEXT, _TEXT),
    Field("registration_backup_location", (37,), "注册数据备份所在地", _K.TEXT, _TEXT),
    Field("resolution_server_location", (38,), "解析服务器所在地", _K.TEXT, _TEXT),
    Field("service_backup_location", (39,), "服务备份所在地", _K.TEXT, _TEXT),
    Field("data_escrow_agent", (40,), "数据托管单位", _K.TEXT, _TEXT),
    Field("service_escrow_agent", (41,), "服务托管单位", _K.TEXT, _TEXT),
    Field("identity_verification", (42,), "注册实名核验实施", _K.TEXT, _TEXT),
    Field("naming_rule", (43,), "标识注册名称合规实施", _K.TEXT, _TEXT),
    Field("service_industries", (44,), "服务行业", _K.INDUSTRIES, _LIST, items_max=_ITEMS),
    Field("site_name", (45,), "对外服务网站名称", _K.TEXT, _TEXT),
    Field("site_domain", (45,), "对外服务网站域名", _K.DOMAIN, DOMAIN_CHARS_MAX),
    Field("site_addresses", (45,), "对外服务网站IP地址", _K.ADDRESSES, _LIST, items_max=_ITEMS),
)

BY_NAME: Final[dict[str, Field]] = {field.name: field for field in FIELDS}

HINTS: Final = frozenset({"party", "kind", "prefix", "hosting"})
"""What a form may carry beside the subject data; the check of a subject looks at none of it."""


def identity_names(*, person: bool) -> frozenset[str]:
    """Return the names of the fields that are personal data, of an organisation or of a person."""
    return frozenset(field.name for field in FIELDS if field.identity or (person and field.person))
