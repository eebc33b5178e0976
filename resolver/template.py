"""Template handles: the HS_NAMESPACE language, run on a base record.

The prefix handle's HS_NAMESPACE gives a delimiter. A handle that has no record
and holds the delimiter is cut there: base before it, extension behind it; the
template then makes values out of the base's. Source: the reference server, as
written down in docs/standards/choices.md#templates.

How the XML is read stands in ``core/wire/template.py``. What is read here may be
anything: it was checked when it was written, but a record may come from another
server, and ``ref`` leads to values of any type.

Bounds: TEMPLATE_* of core.limits. The work of one resolution is counted, in units
of about ten nanoseconds, and ends at TEMPLATE_WORK_MAX.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from core import limits
from core.errors import IdentifierError, NodeError, Outcome, WireError
from core.records import HandleValue, ValueReference, Values
from core.wire.template import (
    TEST_EQUALS,
    TEST_MATCHES,
    Element,
    Expression,
    expression_of,
    parse_xml,
    reference_in,
    templates_in,
    word_of,
)
from core.wire.valuetypes import HS_NAMESPACE

FindValue = Callable[[ValueReference], HandleValue | None]

_SHORT: Final = r"\\(?P<escaped>.)|\$(?P<number>[0-9]+)"
_VARIABLE: Final = re.compile(_SHORT + r"|\$\{(?P<name>[^}]*)\}", re.DOTALL)
_WITHOUT_BRACES: Final = re.compile(_SHORT + r"|(?P<name>(?!))", re.DOTALL)
_GROUP: Final = re.compile(r"(.*)\[([0-9]{1,4})\]", re.DOTALL)
_EXTENSION: Final = "extension"

# Units of work, measured on one core of 2024; too many rather than too few.
_ELEMENT_UNITS: Final = 100
_MADE_UNITS: Final = 5  # for each value made before, when an index is looked for
_REPLACED_UNITS: Final = 20  # for each character of a text in which variables are replaced
_REF_UNITS: Final = 50_000  # a look-up, and a record unpacked
_PARSED_UNITS: Final = 3  # for each octet of XML
_COMPILE_UNITS: Final = 50_000
_COMPILE_CHAR_UNITS: Final = 2_500


class UnsupportedTemplateError(NodeError):
    """The template asks for something that this node does not do."""

    outcome = Outcome.UNSUPPORTED


class _NotFound(Exception):  # noqa: N818 - the template's own <notfound/>, no error
    pass


class Cut(NamedTuple):
    """A handle cut at the delimiter, as asked."""

    handle: str
    base: str
    extension: str


def templates_of(values: Values) -> list[Element]:
    """Return the templates of the first HS_NAMESPACE value, none if it cannot be read."""
    for value in values:
        if value.type == HS_NAMESPACE:
            try:
                return templates_in(parse_xml(value.data))
            except WireError:
                return []
    return []


def cut(handle: str, templates: list[Element]) -> Cut | None:
    """Cut a handle at the first delimiter at or behind the end of its prefix; None if there is none."""
    delimiter = templates[0].attributes.get("delimiter", "") if templates else ""
    slash = handle.find("/")
    position = handle.find(delimiter, slash) if delimiter and slash >= 0 else -1
    if position < 0:
        return None
    return Cut(handle, handle[:position], handle[position + len(delimiter) :])


def run(templates: list[Element], cut_handle: Cut, base: Values, find_value: FindValue) -> Values | None:
    """Return the values that the templates make of the base's; None for ``<notfound/>``.

    Errors: UnsupportedTemplateError.
    """
    machine = _Machine(cut_handle, base, find_value)
    try:
        for template in templates:
            machine.children(machine.referred(template))
    except _NotFound:
        return None
    return tuple(machine.made)


class _Machine:
    """Runs one handle's templates. ``made`` grows; variables of ``foreach`` come and go."""

    def __init__(self, cut_handle: Cut, base: Values, find_value: FindValue) -> None:
        self.made: list[HandleValue] = []
        self._base = base
        self._find_value = find_value
        self._variables = cut_handle._asdict()
        self._groups: dict[str, tuple[str, ...]] = {}
        self._expressions: dict[tuple[str, str | None], Expression | None] = {}
        self._current: HandleValue | None = None
        self._size = 0
        self._work = 0

    def referred(self, template: Element) -> Element:
        """Return the template that is to run: itself, or the one its ``ref`` leads to."""
        for _ in range(limits.TEMPLATE_REF_DEPTH_MAX):
            ref = template.attributes.get("ref")
            if ref is None:
                return template
            reference = reference_in(ref)
            if reference is None:
                raise _NotFound
            self._spend(_REF_UNITS)
            try:
                value = self._find_value(reference)
                if value is None:
                    raise _NotFound
                self._spend(_PARSED_UNITS * len(value.data))
                found = templates_in(parse_xml(value.data))
            except (WireError, IdentifierError):
                found = []
            if not found:
                raise _NotFound
            template = found[0]
        raise _NotFound

    def children(self, parent: Element) -> None:
        """Run the children of one element. ``else`` answers the last ``if`` beside it."""
        decided: bool | None = None
        hidden: list[tuple[str, str | None]] = []
        groups = self._groups
        for child in parent.elements():
            self._spend(_ELEMENT_UNITS)
            match child.tag:
                case "value":
                    self._value(child)
                case "if":
                    decided = self._test(child)
                    if decided:
                        self.children(child)
                case "else":
                    if decided is False:
                        self.children(child)
                case "foreach" if self._current is None:
                    self._foreach(child)
                case "def":
                    hidden.append(self._define(child))
                case "notfound":
                    raise _NotFound
        self._groups = groups
        for name, before in reversed(hidden):
            if before is None:
                del self._variables[name]
            else:
                self._variables[name] = before

    def _foreach(self, element: Element) -> None:
        outside = self._variables
        for value in self._base:
            self._spend(_ELEMENT_UNITS + len(value.data))
            self._current = value
            self._variables = outside | {
                "index": str(value.value_index),
                "type": value.type,
                "data": value.data.decode("utf-8", "replace"),
            }
            self.children(element)
        self._current, self._variables = None, outside

    def _test(self, element: Element) -> bool | None:
        """None: a word that nobody knows, so neither ``if`` nor ``else`` runs."""
        words = element.attributes
        name = words.get("value", _EXTENSION)
        text: str = self._variables.get(name, "")
        word = word_of(element)
        if word is None:
            return True
        if word == TEST_EQUALS:
            holds = text == self._replace(words.get("expression", ""))
        elif word == TEST_MATCHES:
            expression = self._expression(element)
            if expression is None:
                return None
            holds = self._matches(expression, text, words.get("parameter", name))
        else:
            return None
        return holds != (words.get("negate") == "true")

    def _expression(self, element: Element) -> Expression | None:
        """Compile an expression, each one once; None for one that cannot be used."""
        written = element.attributes.get("expression", "")
        place = (written, element.attributes.get("case_sensitive"))
        if place not in self._expressions:
            self._spend(_COMPILE_UNITS + _COMPILE_CHAR_UNITS * min(len(written), limits.TEMPLATE_EXPRESSION_CHARS_MAX))
            try:
                self._expressions[place] = expression_of(element)
            except WireError:
                self._expressions[place] = None
        return self._expressions[place]

    def _matches(self, expression: Expression, text: str, name: str) -> bool:
        """Match the whole text and set the groups of a name: none if it does not match."""
        self._spend(expression.size * (len(text.encode()) + 1) + len(self._groups))
        groups = expression.groups(text)
        # A new dictionary: children() of the element around this one gives the old one back.
        self._groups = self._groups | {name: groups or ()}
        return groups is not None

    def _define(self, element: Element) -> tuple[str, str | None]:
        """Set a variable; return its name and what it hides."""
        before, self.made = self.made, []
        self.children(element)
        made, self.made = self.made, before
        name = element.attributes.get("parameter", "")
        hidden = self._variables.get(name)
        # A value that is not public must not come out under the permissions of another.
        shown = made[0].data if made and made[0].public_read else b""
        self._variables[name] = shown.decode("utf-8", "replace")
        return name, hidden

    def _value(self, element: Element) -> None:
        words, current = element.attributes, self._current
        kind = self._replace(words["type"]) if "type" in words else current.type if current else None
        data = self._data(element)
        if data is None and current is not None:
            data = current.data
        if kind is None or data is None:
            return
        self._spend(_MADE_UNITS * len(self.made))
        self._size += len(kind) + len(data)
        if len(self.made) >= limits.VALUES_PER_RECORD_MAX or self._size > limits.RECORD_BYTES_MAX:
            raise UnsupportedTemplateError("The prefix's template makes too many values, or too long ones")
        if current is None:
            self.made.append(HandleValue(self._free(1), kind, data))
            return
        number = self._replace(words.get("index", ""))
        wanted = (
            int(number) if number.isascii() and number.isdecimal() and 0 < len(number) < 10 else current.value_index
        )
        self.made.append(current._replace(value_index=self._free(wanted), type=kind, data=data))

    def _data(self, element: Element) -> bytes | None:
        if "data" in element.attributes:
            return self._replace(element.attributes["data"]).encode()
        if element.children:
            return self._replace("".join(map(_written, element.children)).strip()).encode()
        return None

    def _free(self, index: int) -> int:
        taken = {value.value_index for value in self.made}
        while index in taken:
            index += 1
        return index

    def _replace(self, text: str) -> str:
        """Replace the variables. Errors: UnsupportedTemplateError beyond TEMPLATE_TEXT_CHARS_MAX."""
        self._spend(_REPLACED_UNITS * len(text))
        pieces: list[str] = []
        start = size = 0
        for match in _variables_in(text):
            new = self._shown(match)
            pieces += (text[start : match.start()], new)
            start = match.end()
            size += len(pieces[-2]) + len(new)
            if size > limits.TEMPLATE_TEXT_CHARS_MAX:
                raise UnsupportedTemplateError("The prefix's template makes a text that is too long")
        self._spend(size)
        return "".join(pieces) + text[start:]

    def _shown(self, match: re.Match[str]) -> str:
        """Return what comes in the place of ``\\x``, ``$n``, ``${n}``, ``${name[n]}`` or ``${name}``."""
        escaped, name = match["escaped"], match["name"]
        if escaped is not None:
            return escaped
        number = match["number"] if name is None else name
        if number.isascii() and number.isdecimal():
            return self._group(_EXTENSION, number)
        group = _GROUP.fullmatch(name)
        if group is not None:
            return self._group(group[1], group[2])
        shown: str = self._variables.get(name, "")
        return shown

    def _group(self, name: str, number: str) -> str:
        groups = self._groups.get(name, ())
        # A number that is far too long is never read: int() takes long over it.
        return groups[int(number)] if len(number) <= 4 and int(number) < len(groups) else ""

    def _spend(self, units: int) -> None:
        self._work += units
        if self._work > limits.TEMPLATE_WORK_MAX:
            raise UnsupportedTemplateError("The prefix's template takes too long")


def _variables_in(text: str) -> Iterator[re.Match[str]]:
    """Yield what is to be replaced. Behind the last "}" no name ends, and looking for one would be quadratic."""
    end = text.rfind("}") + 1
    return itertools.chain(_VARIABLE.finditer(text, 0, end), _WITHOUT_BRACES.finditer(text, end))


def _written(node: Element | str) -> str:
    if isinstance(node, str):
        return node
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
    inner = "".join(escape(child) if isinstance(child, str) else _written(child) for child in node.children)
    return f"<{node.tag}{attributes}>{inner}</{node.tag}>\n" if inner else f"<{node.tag}{attributes}/>\n"
