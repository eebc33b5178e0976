"""GS1 Digital Link URIs: a primary key, its qualifiers, and attributes in the query.

Verdicts are those of GS1's own Syntax Engine: a stem may stand before the key, and where it looks like keys the
rightmost key counts; unknown words of the query are ignored, unknown numbers are not; a malformed ``%zz`` means itself.
Source: GS1 Digital Link URI syntax 1.6; verdicts where it is silent: GS1 Syntax Engine (see tests/vectors/gs1).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote

from core import limits
from core.errors import IdentifierError
from core.ident.gs1 import check_element, check_together, rule_of
from core.ident.gs1_table import KEYS, RULES, SEQUENCES

CANONICAL: Final = "https://id.gs1.org"

_SCHEME: Final = re.compile("https?://", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9\-.:\[\]]+")
_NOT_IN_PATH: Final = re.compile(r"[^A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%]")
_NOT_IN_QUERY: Final = re.compile(r"[^A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]")
_ENCODED: Final = re.compile("%([0-9A-Fa-f]{2})")
_BRACKET: Final = r"\("
_GTIN: Final = "01"
_GTIN_LENGTHS: Final = (8, 12, 13)
_SIGNATURE: Final = "8030"
_WITHOUT_SERIAL: Final = {"253": 13, "255": 13, "8003": 14}
_PATHS: Final = frozenset("/".join(sequence) for sequence in SEQUENCES)
_OF_THE_PATH: Final = frozenset(
    ("/".join(each for each in sequence if each != ai), ai) for sequence in SEQUENCES for ai in sequence[1:]
)
"""What would be a qualifier of a path, and so may not stand in the query behind it."""


class Element(NamedTuple):
    """One application identifier and its value, without percent-encoding."""

    ai: str
    value: str


class DigitalLink(NamedTuple):
    """What a URI says. ``elements``: the primary key, then its qualifiers in the order of the standard.

    ``attributes``: of the query, in its order. ``ignored``: the other members of the query as written, undecoded.
    """

    elements: tuple[Element, ...]
    attributes: tuple[Element, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path that names it, ``/01/06901234567892/10/L1``, percent-encoded where needed."""
        return "".join(f"/{ai}/{quote(value, safe='')}" for ai, value in self.elements)

    @property
    def query(self) -> str:
        """The attributes, ``17=271121&10=L1``: those of a length known from the AI first, each group in its order."""
        ordered = sorted(self.attributes, key=lambda attribute: not RULES[attribute.ai].fixed)
        return "&".join(f"{ai}={quote(value, safe='')}" for ai, value in ordered)

    @property
    def canonical(self) -> str:
        """The canonical URI, https://id.gs1.org/01/…?17=…, without what is ignored."""
        return f"{CANONICAL}{self.path}?{self.query}" if self.attributes else CANONICAL + self.path

    @property
    def element_string(self) -> str:
        r"""The same in brackets: ``(01)06901234567892(10)L1(17)271121``; a bracket in a value is ``\(``."""
        return "".join(f"({ai}){value.replace('(', _BRACKET)}" for ai, value in (*self.elements, *self.attributes))

    @property
    def levels(self) -> tuple[DigitalLink, ...]:
        """This one without attributes, then each shorter one, down to the primary key alone."""
        return tuple(DigitalLink(self.elements[:many]) for many in range(len(self.elements), 0, -1))


def parse_uri(uri: str) -> DigitalLink:
    """Read a whole URI, http or https. Errors: IdentifierError. Bounds: DIGITAL_LINK_CHARS_MAX.

    A slash at the end is an error here, as it is to the Syntax Engine; parse_path leaves it out.
    """
    scheme = _SCHEME.match(uri)
    if scheme is None:
        raise IdentifierError(
            f"数字链接应以 https:// 或 http:// 开头：{uri[:80]!r}。A GS1 Digital Link begins with https:// or http://"
        )
    rest, _, fragment = uri[scheme.end() :].partition("#")
    _require_encoded(_NOT_IN_QUERY.search(fragment.replace("#", "")))
    rest, _, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    if _HOST.fullmatch(host) is None:
        raise IdentifierError(
            f"主机名应为字母、数字和 . - :：{host[:80]!r}。The host is made of letters, digits, dots and hyphens"
        )
    return _read(slash + path, query)


def parse_path(path: str, query: str = "") -> DigitalLink:
    """Read path and query as they came, percent-encoded; one slash at the end is left out. A stem before is allowed.

    Errors: IdentifierError. Bounds: DIGITAL_LINK_CHARS_MAX, GS1_MEMBERS_MAX.
    """
    return _read(path[:-1] if path[-1:] == "/" else path, query)


def _read(path: str, query: str) -> DigitalLink:
    if len(path) + len(query) > limits.DIGITAL_LINK_CHARS_MAX:
        raise IdentifierError(
            f"数字链接至多 {limits.DIGITAL_LINK_CHARS_MAX} 个字符。A GS1 Digital Link has at most "
            f"{limits.DIGITAL_LINK_CHARS_MAX} characters"
        )
    _require_encoded(_NOT_IN_PATH.search(path) or _NOT_IN_QUERY.search(query))
    steps = path.split("/")
    at = _place_of_key(steps)
    ais = steps[at::2]
    names = "/".join(ais)
    if names not in _PATHS:
        raise IdentifierError(
            f"({ais[0]}) 之后的限定符不符：{' '.join(ais[1:])}。The key ({ais[0]}) has not these qualifiers, or "
            "they stand in another order"
        )
    elements = tuple(Element(ai, _decoded(ai, value)) for ai, value in zip(ais, steps[at + 1 :: 2], strict=True))
    if not query:
        check_together(ais)
        return DigitalLink(elements)
    attributes, ignored = _read_query(query, names)
    check_together([*ais, *(attribute.ai for attribute in attributes)])
    _check_signed((*elements, *attributes))
    return DigitalLink(elements, attributes, ignored)


def _require_encoded(bad: re.Match[str] | None) -> None:
    if bad is not None:
        raise IdentifierError(
            f"{bad.group()!r} 须以百分号编码，如 %22。This character has to be percent-encoded in a GS1 Digital Link"
        )


def _place_of_key(steps: list[str]) -> int:
    """Return where the key stands: the rightmost of the pairs, read from the end, whose AI is one."""
    at = len(steps) - 2
    while at > 0 and steps[at] in RULES:
        if steps[at] in KEYS:
            return at
        at -= 2
    raise IdentifierError(
        "路径应为 GS1 主键及其后成对的 AI 与值，如 /01/06901234567892/10/L1。The path is a primary key of GS1 with "
        "pairs of AI and value behind it, such as /01/06901234567892/10/L1"
    )


def _decoded(ai: str, raw: str) -> str:
    value = _plain(raw)
    check_element(ai, value)
    return value


def _plain(raw: str) -> str:
    return _ENCODED.sub(_character, raw) if "%" in raw else raw


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))  # one octet: above 127 it is none of GS1's characters, whatever it belonged to


def _read_query(query: str, path: str) -> tuple[tuple[Element, ...], tuple[str, ...]]:
    """Return attributes and what is ignored of a query behind a path such as ``01/10``."""
    attributes: list[Element] = []
    ignored: list[str] = []
    seen = set(path.split("/"))
    members = [member for member in query.split("&") if member]
    if query[-1:] == "&":
        members.append("")  # the Syntax Engine counts what is behind the last one
    if len(members) + len(seen) > limits.GS1_MEMBERS_MAX:
        raise IdentifierError(
            f"数字链接至多含 {limits.GS1_MEMBERS_MAX} 项。A GS1 Digital Link has at most {limits.GS1_MEMBERS_MAX} "
            "members"
        )
    for member in members:
        ai, sign, raw = member.partition("=")
        if not (sign and ai.isdigit()):
            ignored.append(member)
            continue
        if not rule_of(ai).attribute or (path, ai) in _OF_THE_PATH:
            raise IdentifierError(
                f"应用标识符 ({ai}) 不能作此链接的查询参数，应写入路径。The AI ({ai}) is no attribute here: it belongs "
                "into the path, or nowhere"
            )
        if ai in seen:
            raise IdentifierError(f"应用标识符 ({ai}) 重复。The AI ({ai}) stands there twice")
        seen.add(ai)
        attributes.append(Element(ai, _attribute(ai, raw)))
    return tuple(attributes), tuple(ignored)


def _attribute(ai: str, raw: str) -> str:
    value = _plain(raw.replace("+", " "))
    if ai == _GTIN and len(value) in _GTIN_LENGTHS:
        value = value.zfill(14)
    check_element(ai, value)
    return value


def _check_signed(elements: tuple[Element, ...]) -> None:
    """A digital signature is of one object: a key that may do without a serial has one beside it."""
    if any(element.ai == _SIGNATURE for element in elements):
        for ai, value in elements:
            if len(value) == _WITHOUT_SERIAL.get(ai):
                raise IdentifierError(
                    f"({_SIGNATURE}) 数字签名须与带序列号的 ({ai}) 同用。With a digital signature ({_SIGNATURE}) "
                    f"the key ({ai}) has a serial number"
                )
