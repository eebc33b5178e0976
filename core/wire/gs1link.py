"""Data of a GS1_LINK value: one link of a GS1 Digital Link resolver, JSON text in UTF-8.

    href      address, http or https, ASCII: other characters percent-encoded
    rel       ratified link type with "gs1:", or a word of RFC 8288, small letters
    title     what the link leads to, for people
    hreflang  languages of the target, xx or xx-XX; none where it is left out
    type      its media type
    context   words that ``?context=`` may ask for
    default   true: where a request leads to that asks for nothing else
    fwqs      false: the query of the request is not passed on

Source: GS1-Conformant resolver standard 1.2 §2.6; JSON schema of a GS1 linkset; RFC 8288 §3.3; RFC 6838 §4.2.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

import msgspec

from core import limits
from core.errors import WireError
from core.ident.linktypes import DEFAULT_LINK, DEFAULT_LINK_MULTI, HANDLED_BY, LINK_TYPES, PREFIX
from core.wire.jsontext import parse

_HREF: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"(?:[/?#](?:[A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2})*)?"
)
_PORT_MAX: Final = 65_535
_WORD: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2})(?:-([A-Za-z]{2}))?")
_MEDIA_TYPE: Final = re.compile(
    r"(?:application|audio|font|haptics|image|message|model|multipart|text|video)/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_NOT_A_TYPE: Final = ("linkset", "all")  # linkType= has its own meaning for them
_MADE_HERE: Final = (DEFAULT_LINK, DEFAULT_LINK_MULTI, HANDLED_BY)
_RESERVED: Final = ("anchor",)  # no name of a relation may begin so in a linkset


class Link(NamedTuple):
    """One link. ``type``: empty where it is not said. ``fwqs``: whether the query of the request is passed on."""

    href: str
    rel: str
    title: str
    hreflang: tuple[str, ...] = ()
    type: str = ""
    context: tuple[str, ...] = ()
    default: bool = False
    fwqs: bool = True


_Few = Annotated[list[str], msgspec.Meta(max_length=limits.GS1_LINK_ITEMS_MAX)]


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    href: str
    rel: str
    title: str
    hreflang: _Few = []
    type: str = ""
    context: _Few = []
    default: bool = False
    fwqs: bool = True


def decode_link(data: bytes) -> Link:
    """Read the data of a GS1_LINK value. Case of languages and media type is made the usual one.

    Bounds: GS1_LINK_BYTES_MAX, GS1_LINK_ITEMS_MAX. Errors: WireError that says what would be right.
    """
    if len(data) > limits.GS1_LINK_BYTES_MAX:
        raise WireError(
            f"至多 {limits.GS1_LINK_BYTES_MAX} 个八位组。It takes {limits.GS1_LINK_BYTES_MAX} octets at most"
        )
    form: _Form = parse(data, _Form)
    title = form.title.strip()
    if not title or not title.isprintable():
        raise WireError("title 应为一行可见文字。title is visible text on one line")
    return Link(
        _href(form.href), _rel(form.rel), title, tuple(dict.fromkeys(map(_language, form.hreflang))),
        _media_type(form.type), tuple(dict.fromkeys(map(_token, form.context))), form.default, form.fwqs,
    )  # fmt: skip


def _href(text: str) -> str:
    match = _HREF.fullmatch(text)
    if match is None or (match[1] and not 0 < int(match[1]) <= _PORT_MAX) or text.count("#") > 1:
        raise WireError(
            f"href 应为 http 或 https 绝对网址，非 ASCII 字符用百分号编码：{text[:80]!r}。href is an absolute http or "
            "https address in ASCII, all else percent-encoded"
        )
    return text


def _rel(text: str) -> str:
    if text in _MADE_HERE:
        raise WireError(
            f'{text} 由节点自行写出；默认链接请写其用途（如 gs1:pip）并加 "default":true。The node writes {text} by '
            'itself; say what the link is for, as gs1:pip, and "default":true'
        )
    name = text.removeprefix(PREFIX)
    known = name in LINK_TYPES if name != text else _is_word(text)
    if not known:
        raise WireError(
            f"rel 应为 GS1 已批准的链接类型（如 gs1:pip），或小写的 RFC 8288 关系词：{text[:80]!r}。rel is a ratified "
            "link type of GS1, as gs1:pip, or a word of RFC 8288 in small letters"
        )
    return text


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None and text not in _NOT_A_TYPE and not text.startswith(_RESERVED)


def _language(text: str) -> str:
    match = _LANGUAGE.fullmatch(text)
    if match is None:
        raise WireError(f"hreflang 应如 zh 或 zh-CN：{text[:40]!r}。hreflang is as zh or zh-CN")
    return match[1].lower() + (f"-{match[2].upper()}" if match[2] else "")


def _media_type(text: str) -> str:
    kind = text.lower()
    if kind and _MEDIA_TYPE.fullmatch(kind) is None:
        raise WireError(f"type 应为媒体类型，如 text/html：{text[:80]!r}。type is a media type, as text/html")
    return kind


def _token(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise WireError(
            f"context 的词由1至64个字母、数字、._~- 组成：{text[:80]!r}。A word of context has 1 to 64 letters, digits "
            "and ._~-"
        )
    return text
