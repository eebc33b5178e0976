"""What may be stored: the rules of values, and what an HS_NAMESPACE must be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import Outcome, RecordError
from core.ident.handle import HandleRules
from core.outcomes import STATUSES, HandleCode
from core.records import HandleValue
from core.store.memory_engine import MemoryEngine
from registry.commands import OPERATOR, Add, Command, Home, Modify, Put, PutBatch, Request, Result
from registry.service import Registry
from registry.values import check_shapes, check_values

NOW = Millis(1_700_000_000_000)
HANDLE = "88.118.7/A"
URL = HandleValue(1, "URL", b"https://salt.example")
DEPTH, COUNT, SIZE = limits.TEMPLATE_DEPTH_MAX, limits.TEMPLATE_ELEMENTS_MAX, limits.TEMPLATE_BYTES_MAX
CHARS, EXPRESSIONS = limits.TEMPLATE_EXPRESSION_CHARS_MAX, limits.TEMPLATE_EXPRESSIONS_MAX


def namespace(xml: str | bytes, index: int = 7) -> HandleValue:
    return HandleValue(index, "HS_NAMESPACE", xml.encode() if isinstance(xml, str) else xml)


def template(inner: str, words: str = "") -> str:
    """Return a namespace of which the template begins on line 2 and its children on line 3."""
    return f'<namespace>\n<template delimiter="@" {words}>\n{inner}</template></namespace>'


def matching(expression: str, words: str = "") -> str:
    return f'<if test="matches" expression="{expression}" {words}/>'


ACCEPTED = [
    "<namespace/>",
    "<namespace><status>active</status></namespace>",
    '<namespace><contact>op@salt.example</contact><locs/><if test="starts"/></namespace>',
    "<other/>",
    '<template delimiter="@"/>',
    template('<if/><if value="type"/><if test="equals" expression="URL"/>' + matching(r"box\((.*),(.*)\)")),
    template("", 'ref="7:88.118.7/T"'),
    template('<value type="XML" data=""/><value type="XML"><if test="starts"/></value>'),
    template('<unknown><if test="starts"/></unknown><notfound><if test="starts"/></notfound>'),
    template(matching("a" * CHARS)),
    template(matching(r"\pL+") + matching(r"\p{Han}{1,20}") + matching("[^/]{1,255}") + matching("")),
    template(matching("(a+)+$") * EXPRESSIONS),
]


@pytest.mark.parametrize("xml", ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_namespace_that_can_be_run_may_be_stored(xml: str) -> None:
    """Also one without a template, and whatever stands where nothing runs it."""
    check_values((URL, namespace(xml)))


REFUSED = [
    ("", "no XML: no element found"),
    ("\0", "no XML: .*line 1"),
    (b"\xff\xfe", "no XML"),
    ('<namespace>\n<template delimiter="@">', "no XML: no element found: line 2"),
    ("<a>\n</b>", "no XML: mismatched tag: line 2"),
    ('<?xml version="1.0" encoding="foo"?><a/>', "no XML"),
    ('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>', "line 2: .* no document type"),
    ("<a>" * (DEPTH + 1) + "</a>" * (DEPTH + 1), f"line 1: .* at most {COUNT} elements, nested at most {DEPTH} deep"),
    ("<a>\n" + "<b/>" * COUNT + "</a>", f"line 2: .* at most {COUNT} elements"),
    ("<a>" + "x" * SIZE + "</a>", f"at most {SIZE} octets, this has {SIZE + 7}"),
    (
        template('<if test="starts" expression="x"/>'),
        'line 3: nobody knows test="starts"; there are equals and matches',
    ),
    (template('<if test="Matches"/>'), 'test="Matches"'),
    (template('<if test=""/>'), 'test=""'),
    (template('<foreach>\n<if>\n<else><def>\n<if test="x"/></def></else></if></foreach>'), "line 6"),
    ('<template><if test="x"/></template>', "line 1"),
    ('<n><template/><template><if test="x"/></template></n>', "line 1"),
    (template(matching("(a")), r"line 3: no expression that can be used: missing \)"),
    (template(matching("(?=a)")), "line 3: .* as RE2 reads it"),
    (template(matching(r"(a)\1")), "line 3: .* as RE2 reads it"),
    (template(matching(r"[\pL\pN]{9}")), "line 3: .* too large"),
    (template(matching("a" * (CHARS + 1))), f"line 3: an expression has at most {CHARS} characters"),
    (template("\n" + matching("a") * (EXPRESSIONS + 1)), f"line 4: .* at most {EXPRESSIONS} tests"),
    *(
        (template("", f'ref="{ref}"'), "line 2: ref=.* index:handle")
        for ref in ("", "nocolon", "7:", ":a", "x:88.118.7/T", "-1:a", "0:a", "７:a", "2147483648:a", "99999999999:a")
    ),
]


@pytest.mark.parametrize(("xml", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_namespace_that_cannot_be_run_is_refused(xml: str | bytes, message: str) -> None:
    """With the index, the line, and what would be right."""
    with pytest.raises(RecordError, match="(?s)The HS_NAMESPACE with index 7 is wrong: .*" + message) as caught:
        check_values((URL, namespace(xml)))
    assert caught.value.ended is Outcome.INVALID_VALUE
    assert STATUSES[caught.value.ended].handle is HandleCode.INVALID_VALUE


def test_every_namespace_of_a_record_is_checked() -> None:
    """The first one counts, but each may become the first; the expressions are counted together."""
    with pytest.raises(RecordError, match="index 8"):
        check_values((namespace("<namespace/>"), namespace("<a", 8)))
    half = template(matching("a") * (EXPRESSIONS // 2))
    check_values((namespace(half), namespace(half, 8)))
    with pytest.raises(RecordError, match=r"index 9.*at most"):
        check_values((namespace(half), namespace(half, 8), namespace(template(matching("a")), 9)))


def test_no_other_type_is_checked() -> None:
    """What a ref leads to may have any type; names of types are compared as written."""
    check_values((HandleValue(1, "hs_namespace", b"<a"), HandleValue(2, "10320/loc", b"<a")))


def test_shapes_do_not_look_into_a_namespace() -> None:
    """What an anonymous request is told costs no expression compiled."""
    check_shapes((namespace("<a"),))


@given(data=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: template(text).encode("utf-8"))))
def test_any_data_passes_or_is_refused(data: bytes) -> None:
    """Nothing but RecordError."""
    try:
        check_values((namespace(data),))
    except RecordError as error:
        assert error.ended is Outcome.INVALID_VALUE


@given(expression=st.text("ab.*+?(){}[]|^$\\\\pLN0123456789,:-盐", max_size=30))
def test_any_expression_passes_or_is_refused(expression: str) -> None:
    """RE2's own error is the only one."""
    try:
        check_values((namespace(template(matching(expression))),))
    except RecordError as error:
        assert "as RE2 reads it" in error.message


def written(command: Command) -> Result:
    """Run a command on a record with a URL, on a store of its own."""
    registry = Registry(MemoryEngine(), HandleRules(), founding=True)
    commands: list[Command] = [Home("88.118.7"), Put(HANDLE, (URL, namespace("<namespace/>"))), command]
    return registry.run([Request(each, OPERATOR) for each in commands], NOW)[-1]


BAD = namespace("<namespace>")


@pytest.mark.parametrize(
    "command",
    [
        Put("88.118.7/NEW", (BAD,)),
        Put("0.NA/88.118.7", (BAD,)),
        Put(HANDLE, (BAD,), overwrite=True),
        Add(HANDLE, (BAD._replace(value_index=8),)),
        Modify(HANDLE, (BAD,)),
    ],
)
def test_every_way_of_writing_asks_the_same(command: Command) -> None:
    """Create, replace, add, modify."""
    result = written(command)
    assert result.outcome is Outcome.INVALID_VALUE
    assert "line 1" in result.message


@pytest.mark.parametrize("handle", ["88.118.7/NEW", HANDLE, "0.NA/88.118.7"])
@pytest.mark.parametrize("lines", [True, False])
def test_a_batch_asks_the_same(handle: str, lines: bool) -> None:
    """A plain text value of this type does not go the quick way."""
    items = [
        {"handle": handle, "values": [{"index": 1, "type": "HS_NAMESPACE", "data": data}]}
        for data in ("<namespace>", {"format": "string", "value": "<namespace>"}, "<namespace/>")
    ]
    body = "\n".join(map(json.dumps, items)) if lines else json.dumps(items)
    answer = json.loads(written(PutBatch(body.encode(), lines, overwrite=True)).body)
    ended = [result["outcome"] for result in answer["results"]]
    assert ended[:2] == ["invalid-value"] * 2
    assert ended[2] in ("created", "ok")
    assert "index 1 is wrong: no XML" in answer["results"][0]["message"]
