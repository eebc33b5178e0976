"""Template handles: the HS_NAMESPACE language, run on a base record.

The prefix handle's HS_NAMESPACE gives a delimiter. A handle that has no record
and holds the delimiter is cut there: base before it, extension behind it; the
template then makes values out of the base's. Source: the reference server, as
written down in docs/standards/choices.md#templates.

    namespace > template(delimiter, ref) > value | if | else | foreach | def | notfound

Bounds: TEMPLATE_* of core.limits; a document type declaration is refused, so no
entity is ever expanded. The test ``matches`` needs a regular expression engine
with a bound on its time and is refused until the node has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from core import limits
from core.errors import IdentifierError, NodeError, Outcome, WireError
from core.records import HandleValue, ValueReference, Values
from core.wire.valuetypes import HS_NAMESPACE

FindValue = Callable[[ValueReference], HandleValue | None]

_VARIABLE: Final = re.compile(r"\\(.)|\$\{([^}]*)\}", re.DOTALL)


class UnsupportedTemplateError(NodeError):
    """The template asks for something that this node does not do."""

    outcome = Outcome.UNSUPPORTED


class _NotFound(Exception):  # noqa: N818 - the template's own <notfound/>, no error
    pass


class Element(NamedTuple):
    """One XML element."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str]

    def elements(self) -> list[Element]:
        """Return the child elements."""
        return [child for child in self.children if isinstance(child, Element)]


class Cut(NamedTuple):
    """A handle cut at the delimiter, as asked."""

    handle: str
    base: str
    extension: str


def parse_xml(data: bytes) -> Element:
    """Read one XML document. Bounds: TEMPLATE_BYTES_MAX, _DEPTH_MAX, _ELEMENTS_MAX. Errors: WireError."""
    if len(data) > limits.TEMPLATE_BYTES_MAX:
        raise WireError(f"a template of more than {limits.TEMPLATE_BYTES_MAX} octets")
    root = Element("", {}, [])
    open_elements, count = [root], 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_elements) > limits.TEMPLATE_DEPTH_MAX or count > limits.TEMPLATE_ELEMENTS_MAX:
            raise WireError("a template that is nested too deeply or too long")
        element = Element(tag, attributes, [])
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def characters(text: str) -> None:
        open_elements[-1].children.append(text)

    def refuse(*_: object) -> None:
        raise WireError("a template with a document type declaration")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise WireError(f"no XML: {error}") from None
    return root.elements()[0]


def templates_of(values: Values) -> list[Element]:
    """Return the templates of the first HS_NAMESPACE value, none if it cannot be read."""
    for value in values:
        if value.type == HS_NAMESPACE:
            try:
                return _templates_in(parse_xml(value.data))
            except WireError:
                return []
    return []


def _templates_in(element: Element) -> list[Element]:
    if element.tag == "template":
        return [element]
    return [child for child in element.elements() if child.tag == "template"]


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
    machine = _Machine(cut_handle, base)
    try:
        for template in templates:
            machine.children(_referred(template, find_value))
    except _NotFound:
        return None
    return tuple(machine.made)


def _referred(template: Element, find_value: FindValue) -> Element:
    for _ in range(limits.TEMPLATE_REF_DEPTH_MAX):
        ref = template.attributes.get("ref")
        if ref is None:
            return template
        index, _, handle = ref.partition(":")
        if not (index.isascii() and index.isdecimal() and len(index) <= 10 and handle):
            raise _NotFound
        value = find_value(ValueReference(handle, int(index)))
        try:
            found = _templates_in(parse_xml(value.data)) if value is not None else []
        except (WireError, IdentifierError):
            found = []
        if not found:
            raise _NotFound
        template = found[0]
    raise _NotFound


class _Machine:
    """Runs one handle's templates. ``made`` grows; variables of ``foreach`` come and go."""

    def __init__(self, cut_handle: Cut, base: Values) -> None:
        self.made: list[HandleValue] = []
        self._base = base
        self._variables = cut_handle._asdict()
        self._current: HandleValue | None = None
        self._size = 0

    def children(self, parent: Element) -> None:
        """Run the children of one element. ``else`` answers the last ``if`` beside it."""
        decided: bool | None = None
        hidden: list[tuple[str, str | None]] = []
        for child in parent.elements():
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
        for name, before in reversed(hidden):
            if before is None:
                del self._variables[name]
            else:
                self._variables[name] = before

    def _foreach(self, element: Element) -> None:
        outside = self._variables
        for value in self._base:
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
        if "test" not in words and "expression" not in words and "value" not in words:
            return True
        match words.get("test", "equals"):
            case "equals":
                name = words.get("value", "extension")
                expression = self._replace(words.get("expression", ""))
                equal: bool = self._variables.get(name, "") == expression
                return equal != (words.get("negate") == "true")
            case "matches":
                raise UnsupportedTemplateError("The prefix's template uses the test 'matches', not offered yet")
        return None

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
        pieces: list[str] = []
        start = size = 0
        for match in _VARIABLE.finditer(text):
            new = match[1] if match[1] is not None else self._variables.get(match[2], "")
            pieces += (text[start : match.start()], new)
            start = match.end()
            size += len(pieces[-2]) + len(new)
            if size > limits.TEMPLATE_TEXT_CHARS_MAX:
                raise UnsupportedTemplateError("The prefix's template makes a text that is too long")
        return "".join(pieces) + text[start:]


def _written(node: Element | str) -> str:
    if isinstance(node, str):
        return node
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
    inner = "".join(escape(child) if isinstance(child, str) else _written(child) for child in node.children)
    return f"<{node.tag}{attributes}>{inner}</{node.tag}>\n" if inner else f"<{node.tag}{attributes}/>\n"
