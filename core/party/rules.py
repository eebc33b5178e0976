"""The rules, and what each says when it is broken, in Chinese and English: what was wrong, what would be right.

Words in braces are filled in: ``label`` and ``name`` of the field, bounds and choices of our
own tables, counts. Nothing that the form holds is ever among them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.party.fields import Field


class RuleError(Exception):
    """A value breaks a rule; ``details`` fill in its message. Never leaves ``core.party``."""

    def __init__(self, rule: str, **details: object) -> None:
        super().__init__(rule)
        self.rule = rule
        self.details = details


class Fault(NamedTuple):
    """One thing that is wrong with a form: the field's name, the rule's stable code, what to tell the person."""

    path: str
    rule: str
    zh: str
    en: str


RULES: Final[dict[str, tuple[str, str]]] = {
    # --- the form
    "form": ("表单应为一个对象：字段名和值", "The form must be an object: names of fields and their values"),
    "form.fields": ("表单最多可有{fields}个字段", "The form may have {fields} fields at most"),
    "unknown-field": ("没有这个字段{near_zh}", "There is no such field{near_en}"),
    "unknown-fields": (
        "还有更多未知字段，未逐一列出",
        "There are more unknown fields, which are not listed one by one",
    ),
    # --- any field
    "required": ("{label}为必填项", "{name} is required"),
    "required-with": ("填写了{other_label}，就必须填写{label}", "{name} is required where {other} is given"),
    "type": ("{label}应为文本", "{name} must be text"),
    "type.list": (
        "{label}应为文本（以“;”分隔）或文本列表",
        "{name} must be text (items separated by ;) or a list of texts",
    ),
    "length": ("{label}过长：最多{chars_max}个字符", "{name} is too long: {chars_max} characters at most"),
    "text.character": (
        "{label}含有不可见字符（控制符、换行等），请删除",
        "{name} has invisible characters (controls, line breaks); remove them",
    ),
    "items": ("{label}应有1至{items}项，以“;”分隔", "{name} takes 1 to {items} items, separated by ;"),
    "choice": ("{label}应为以下之一：{choices}", "{name} must be one of: {choices}"),
    "choice.contradiction": ("{label}选择“{alone}”时不能再选其他项", "{name}: {alone} excludes every other choice"),
    # --- certificates
    "uscc.length": (
        "{label}应为18位统一社会信用代码，实有{chars}位",
        "{name} must be a USCC of 18 characters, not {chars}",
    ),
    "uscc.alphabet": (
        "{label}只能含数字和大写字母，不含I、O、S、V、Z",
        "{name} takes digits and letters without I, O, S, V and Z",
    ),
    "uscc.check-digit": (
        "{label}的第18位校验码与前17位不符：有字符写错或颠倒，请按证照重新填写",
        "{name}: the 18th character does not fit the 17 before it: one is mistyped or two are swapped; copy it again",
    ),
    "uscc.organisation-code": (
        "{label}的第9至17位不是有效的组织机构代码（GB 11714），请按证照重新填写",
        "{name}: characters 9 to 17 are no valid organisation code (GB 11714); copy it again",
    ),
    "uscc.region": (
        "{label}的第3至8位不是行政区划代码（GB/T 2260）",
        "{name}: characters 3 to 8 are no region code of GB/T 2260",
    ),
    "uscc.county": (
        "{label}的第3至8位在行政区划表中没有，但省份存在，请核对证照",
        "{name}: the county in characters 3 to 8 is not in our table, its province is; compare with the certificate",
    ),
    "uscc.other-region": (
        "{label}的行政区划与所填省、市、区不同，请核对",
        "{name} was given in another region than the one in region; check both",
    ),
    "identity-card.length": (
        "{label}应为18位居民身份证号，实有{chars}位",
        "{name} must be an identity card number of 18 characters, not {chars}",
    ),
    "identity-card.digits": (
        "{label}应为17位数字加1位校验码（数字或X）",
        "{name} must be 17 digits and a check digit, which is a digit or X",
    ),
    "identity-card.check-digit": (
        "{label}的校验码与前17位不符：有数字写错或颠倒，请按证件重新填写",
        "{name}: the check digit does not fit the 17 before it: one is mistyped or two are swapped; copy it again",
    ),
    "identity-card.date": (
        "{label}的第7至14位不是合理的出生日期",
        "{name}: digits 7 to 14 are no plausible date of birth",
    ),
    "identity-card.region": (
        "{label}的前两位不是省级行政区划代码（GB/T 2260）",
        "{name}: the first two digits are no province of GB/T 2260",
    ),
    "identity-card.county": (
        "{label}的前六位在行政区划表中没有，但省份存在，请核对证件",
        "{name}: the county in the first six digits is not in our table, its province is; compare with the card",
    ),
    "passport": ("{label}应为5至17位大写字母或数字", "{name} must be 5 to 17 letters and digits"),
    "person-name": ("{label}应含有文字", "{name} must have letters"),
    # --- contact
    "phone": (
        "{label}应为手机号（11位）、带区号的固定电话（如 区号-号码）或以+国家码开头的号码",
        "{name} must be a mobile number (11 digits), a landline with its area code, or + and a country code",
    ),
    "email": ("{label}应为邮箱地址：名称@域名", "{name} must be an e-mail address: name@domain, in ASCII"),
    "url": (
        "{label}应为http或https网址，含主机名，不含用户名；中文域名用xn--形式",
        "{name} must be an http or https address with a host and no user, in ASCII (xn-- for other names)",
    ),
    "domain": ("{label}应为域名；中文域名用xn--形式", "{name} must be a domain name in ASCII (xn-- for other names)"),
    "address": ("{label}应为IPv4或IPv6地址，以“;”分隔", "{name} must be IPv4 or IPv6 addresses, separated by ;"),
    # --- dates
    "date": ("{label}应为真实日期，写作 年-月-日（yyyy-mm-dd）", "{name} must be a real date, written yyyy-mm-dd"),
    "date.future": ("{label}不能晚于今天", "{name} must not lie after today"),
    "date.order": ("{label}不能早于成立日期", "{name} must not lie before established"),
    "date.expired": ("{label}已过，请核对证照是否续期", "{name} has passed; see whether the certificate was renewed"),
    # --- regions and industries
    "region": (
        "{label}应为六位行政区划代码（GB/T 2260），且省份存在",
        "{name} must be a region code of GB/T 2260, six digits, in a known province",
    ),
    "region.county": (
        "{label}：行政区划表中没有该市县，但省份存在，请核对",
        "{name}: the county is not in our table, its province is; check the code",
    ),
    "region.former": (
        "{label}：该行政区划代码已停用，请核对现行代码",
        "{name}: this region code is no longer in use; look up the present one",
    ),
    "industry.unknown": ("{label}：行业代码表中没有（GB/T 4754—2017）", "{name}: not in our table of GB/T 4754-2017"),
    "industry.section": (
        "{label}不属于所填行业类型，属于门类{section}",
        "{name} does not belong to industry_section as given, but to section {section}",
    ),
    "licence.number": ("填写了许可证，建议填写{label}", "Licences are given: {name} should be, too"),
}


def fault(field: Field, rule: str, **details: object) -> Fault:
    """Return what is wrong with a field. ``details`` must hold nothing of the form but counts."""
    zh, en = RULES[rule]
    words = {"label": field.label, "name": field.name, "chars_max": field.chars_max, **details}
    return Fault(field.name, rule, zh.format_map(words), en.format_map(words))


def form_fault(path: str, rule: str, **details: object) -> Fault:
    """Return what is wrong with the form as a whole, or with a field that is not ours."""
    zh, en = RULES[rule]
    return Fault(path, rule, zh.format_map(details), en.format_map(details))
