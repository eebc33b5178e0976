"""The XML of HS_NAMESPACE: read, and checked before it is stored.

    namespace > template(delimiter, ref) > value | if | else | foreach | def | notfound

What the elements do stands in docs/standards/choices.md#templates; the machine
that runs them is ``resolver/template.py``. An expression of the test ``matches``
runs on RE2, whose time grows with the length of the text and the size of the
compiled expression, and with nothing else.

Bounds: TEMPLATE_* of core.limits; a document type declaration is refused, so no
entity is ever expanded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from xml.parsers import expat

import re2

from core import limits
from core.errors import WireError
from core.records import ValueReference

TEST_EQUALS: Final = "equals"
TEST_MATCHES: Final = "matches"
_WITH_CHILDREN: Final = frozenset({"if", "else", "foreach", "def"})
_CONDITION: Final = frozenset({"value", "test", "expression"})


class Element(NamedTuple):
    """One XML element; ``line`` is where it begins."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str]
    line: int = 0

    def elements(self) -> list[Element]:
        """Return the child elements."""
        return [child for child in self.children if isinstance(child, Element)]


class Expression(NamedTuple):
    """A compiled regular expression. ``size``: steps that one octet of a text costs at most."""

    compiled: Any  # re2 has no types
    size: int

    def groups(self, text: str) -> tuple[str, ...] | None:
        """Match the whole text; return all of it and each group, empty where it took no part."""
        match = self.compiled.fullmatch(text)
        return None if match is None else (match.group(), *match.groups(""))


def parse_xml(data: bytes) -> Element:
    """Read one XML document. Bounds: TEMPLATE_BYTES_MAX, _DEPTH_MAX, _ELEMENTS_MAX. Errors: WireError."""
    if len(data) > limits.TEMPLATE_BYTES_MAX:
        raise WireError(f"a template has at most {limits.TEMPLATE_BYTES_MAX} octets, this has {len(data)}")
    root = Element("", {}, [])
    open_elements, count = [root], 0
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        line = parser.CurrentLineNumber
        if len(open_elements) > limits.TEMPLATE_DEPTH_MAX or count > limits.TEMPLATE_ELEMENTS_MAX:
            raise WireError(
                f"line {line}: a template has at most {limits.TEMPLATE_ELEMENTS_MAX} elements, "
                f"nested at most {limits.TEMPLATE_DEPTH_MAX} deep"
            )
        element = Element(tag, attributes, [], line)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def characters(text: str) -> None:
        open_elements[-1].children.append(text)

    def refuse(*_: object) -> None:
        raise WireError(f"line {parser.CurrentLineNumber}: a template has no document type declaration; leave it out")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise WireError(f"no XML: {error}") from None
    return root.elements()[0]


def templates_in(root: Element) -> list[Element]:
    """Return the root if it is a template, else the templates among its children."""
    if root.tag == "template":
        return [root]
    return [child for child in root.elements() if child.tag == "template"]


def word_of(element: Element) -> str | None:
    """Return the test word of an ``if``, also one that nobody knows; None if it asks nothing."""
    if _CONDITION.isdisjoint(element.attributes):
        return None
    return element.attributes.get("test", TEST_EQUALS)


def reference_in(ref: str) -> ValueReference | None:
    """Read ``index:handle``; None for anything else."""
    index, _, handle = ref.partition(":")
    if not (index.isascii() and index.isdecimal() and len(index) <= 10 and handle):
        return None
    return ValueReference(handle, int(index)) if 0 < int(index) <= limits.VALUE_INDEX_MAX else None


def expression_of(element: Element) -> Expression:
    """Compile the expression of a test ``matches``, as it is written: no variable is replaced in it.

    Bounds: TEMPLATE_EXPRESSION_CHARS_MAX, TEMPLATE_EXPRESSION_BYTES_MAX. Errors: WireError.
    """
    written = element.attributes.get("expression", "")
    if len(written) > limits.TEMPLATE_EXPRESSION_CHARS_MAX:
        raise WireError(f"an expression has at most {limits.TEMPLATE_EXPRESSION_CHARS_MAX} characters")
    options = re2.Options()
    options.max_mem = limits.TEMPLATE_EXPRESSION_BYTES_MAX
    options.log_errors = False  # it would write to the process's standard error
    options.case_sensitive = element.attributes.get("case_sensitive") == "true"
    try:
        compiled = re2.compile(written, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else ""
        raise WireError(f"no expression that can be used: {reason}") from None
    return Expression(compiled, compiled.programsize)


def check_namespace(data: bytes, expressions_max: int) -> int:
    """Check the data of an HS_NAMESPACE that is to be stored; return how many expressions it has.

    A namespace without any template passes. Bounds: those of parse_xml() and
    expression_of(), ``expressions_max``. Errors: WireError, which names the line.
    """
    count = 0
    for template in templates_in(parse_xml(data)):
        ref = template.attributes.get("ref")
        if ref is not None and reference_in(ref) is None:
            raise WireError(f'line {template.line}: ref="{ref[:100]}" is not of the form index:handle, as 7:88.118.7/T')
        for element in _ifs(template):
            word = word_of(element)
            if word not in (None, TEST_EQUALS, TEST_MATCHES):
                raise WireError(
                    f'line {element.line}: nobody knows test="{word[:100]}"; there are {TEST_EQUALS} and {TEST_MATCHES}'
                )
            if word != TEST_MATCHES:
                continue
            count += 1
            if count > expressions_max:
                raise WireError(
                    f"line {element.line}: the templates of one record have at most "
                    f"{limits.TEMPLATE_EXPRESSIONS_MAX} tests of the kind {TEST_MATCHES}"
                )
            try:
                expression_of(element)
            except WireError as error:
                raise WireError(f"line {element.line}: {error.message}; it is written as RE2 reads it") from None
    return count


def _ifs(parent: Element) -> Iterator[Element]:
    """Yield each ``if`` that may run: markup inside a value is data."""
    for child in parent.elements():
        if child.tag == "if":
            yield child
        if child.tag in _WITH_CHILDREN:
            yield from _ifs(child)
