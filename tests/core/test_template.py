"""The HS_NAMESPACE language: what a template makes of a base record."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.errors import NodeError, WireError
from core.records import HandleValue, ValueReference, Values
from core.wire.template import parse_xml
from resolver.template import Cut, UnsupportedTemplateError, cut, run, templates_of
from tests.kit.vectors import reference_records

BASE = (
    HandleValue(1, "URL", b"https://salt.example/base", ttl=60, permissions=0b1111, timestamp=1_700_000_000),
    HandleValue(2, "DESC", b"base", references=(ValueReference("88.1/r", 1),)),
    HandleValue(100, "HS_ADMIN", b"\x0f\xff\0"),
)
NOWHERE: Callable[[ValueReference], HandleValue | None] = lambda _: None  # noqa: E731 - finds nothing


def namespace(xml: str, index: int = 1) -> HandleValue:
    """Return the value of a prefix handle that holds a template."""
    return HandleValue(index, "HS_NAMESPACE", xml.encode())


def make(
    inner: str,
    handle: str = "88.1/b@x",
    base: Values = BASE,
    find: Callable[[ValueReference], HandleValue | None] = NOWHERE,
) -> Values | None:
    """Run a template with delimiter "@" and these children."""
    templates = templates_of((namespace(f'<namespace><template delimiter="@">{inner}</template></namespace>'),))
    taken = cut(handle, templates)
    assert taken is not None
    return run(templates, taken, base, find)


def told(made: Values | None) -> list[tuple[int, str, str]] | None:
    """Return index, type and data of what was made."""
    return None if made is None else [(value.value_index, value.type, value.data.decode()) for value in made]


def of(values: Values) -> list[tuple[int, str, str]]:
    shown = told(values)
    assert shown is not None
    return shown


# --- where a template is found ----------------------------------------------


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ((), 0),
        ((HandleValue(1, "URL", b"<template/>"),), 0),
        ((HandleValue(1, "hs_namespace", b"<template/>"),), 0),
        ((namespace("<template/>"),), 1),
        ((namespace("<namespace><template/></namespace>"),), 1),
        ((namespace("<namespace><status/><template/>text<template/></namespace>"),), 2),
        ((namespace("<namespace/>"),), 0),
        ((namespace("<namespace><deeper><template/></deeper></namespace>"),), 0),
        ((namespace("<template"),), 0),
        ((namespace(""),), 0),
        ((namespace("<namespace/>"), namespace("<template/>", 2)), 0),
        ((namespace("<template"), namespace("<template/>", 2)), 0),
    ],
    ids=range(12),
)
def test_the_first_namespace_value_gives_the_templates(values: Values, count: int) -> None:
    """Its root, or the children of its root; unreadable XML is no template; later values do not count."""
    assert len(templates_of(values)) == count


@pytest.mark.parametrize(
    ("delimiter", "handle", "base", "extension"),
    [
        ("@", "88.1/b@x", "88.1/b", "x"),
        ("@", "88.1/b@", "88.1/b", ""),
        ("@", "88.1/@x", "88.1/", "x"),
        ("@", "88.1/b@x@y", "88.1/b", "x@y"),
        ("@@", "88.1/b@@@x", "88.1/b", "@x"),
        ("/", "88.1/b", "88.1", "b"),
        ("/", "88.1/b/c", "88.1", "b/c"),
        ("/b", "88.1/b/c", "88.1", "/c"),
        (".", "88.1/a.b", "88.1/a", "b"),
        ("8", "88.1/a8b", "88.1/a", "b"),
        ("食盐", "88.1/b食盐x", "88.1/b", "x"),
        ("a", "88.1/Aab", "88.1/A", "b"),
    ],
)
def test_a_handle_is_cut_at_the_first_delimiter_from_the_prefixs_end(
    delimiter: str, handle: str, base: str, extension: str
) -> None:
    """The "/" is searched, the prefix is not; base and extension are as asked."""
    templates = templates_of((namespace(f'<template delimiter="{delimiter}"/>'),))
    assert cut(handle, templates) == Cut(handle, base, extension)


@pytest.mark.parametrize("handle", ["88.1/b", "8@8.1/b", "88.1", "@", "88.1/B\uff20"])
def test_a_handle_without_the_delimiter_is_not_cut(handle: str) -> None:
    """One in the prefix is not seen; a handle without "/" has no suffix to cut."""
    assert cut(handle, templates_of((namespace('<template delimiter="@"/>'),))) is None


def test_without_a_delimiter_or_template_nothing_is_cut() -> None:
    """The delimiter is that of the first template, also if it has none."""
    assert cut("88.1/b@x", []) is None
    assert cut("88.1/b@x", templates_of((namespace("<template/>"),))) is None
    assert cut("88.1/b@x", templates_of((namespace('<template delimiter=""/>'),))) is None
    assert cut("88.1/b@x", templates_of((namespace('<n><template/><template delimiter="@"/></n>'),))) is None


# --- value ------------------------------------------------------------------


def test_the_recorded_template_makes_the_recorded_answer() -> None:
    """88.9999.2/BASE@x9 as the reference server answered it: ${data}#${extension} in the URL, the rest copied."""
    records = reference_records()
    templates = templates_of(records["0.NA/88.9999.2"])
    taken = cut("88.9999.2/BASE@x9", templates)
    assert taken is not None
    base = records["88.9999.2/BASE"]
    made = run(templates, taken, base, NOWHERE)
    assert made is not None
    assert made[0] == base[0]._replace(data=base[0].data + b"#x9")
    assert made[1:] == base[1:]


def test_a_bare_value_copies_the_current_one() -> None:
    """With its TTL, permissions, timestamp and references."""
    assert make("<foreach><value/></foreach>") == BASE


def test_in_foreach_what_is_left_out_is_that_of_the_current_value() -> None:
    """Index, type and data, each by itself; TTL, permissions and timestamp always."""
    made = make('<foreach><value index="7" type="T" data="d"/></foreach>', base=BASE[:1])
    assert made == (BASE[0]._replace(value_index=7, type="T", data=b"d"),)
    assert told(make('<foreach><value type="T"/></foreach>', base=BASE[:1])) == [(1, "T", "https://salt.example/base")]
    assert told(make('<foreach><value data=""/></foreach>', base=BASE[:1])) == [(1, "URL", "")]


@pytest.mark.parametrize(
    ("index", "expected"),
    [("5", 5), ("${index}", 2), ("", 2), ("x", 2), ("-5", 2), ("1.5", 2), ("９", 2), ("99999999999", 2), (" 5", 2)],
)
def test_in_foreach_an_index_that_is_no_number_is_the_current_one(index: str, expected: int) -> None:
    """ASCII digits that fit; anything else counts as left out."""
    made = make(f'<foreach><value index="{index}"/></foreach>', base=BASE[1:2])
    assert of(made or ()) == [(expected, "DESC", "base")]


def test_a_taken_index_moves_to_the_next_free_one() -> None:
    """Inside foreach and outside."""
    assert told(make('<foreach><value index="5" data="${index}"/></foreach>')) == [
        (5, "URL", "1"),
        (6, "DESC", "2"),
        (7, "HS_ADMIN", "100"),
    ]
    assert told(make('<foreach><value/><value data="again"/></foreach>', base=BASE[1:2])) == [
        (2, "DESC", "base"),
        (3, "DESC", "again"),
    ]


def test_outside_foreach_the_index_is_ignored_and_everything_is_new() -> None:
    """1 or the next free; TTL 86 400, permissions 1110, no timestamp, no references."""
    made = make(
        '<value index="9" type="A" data="1"/><foreach><value/></foreach><value type="B" data="2"/>', base=BASE[1:2]
    )
    assert made == (HandleValue(1, "A", b"1"), BASE[1], HandleValue(3, "B", b"2"))
    assert made[0].timestamp == 0
    assert made[0].ttl == limits.TTL_S_DEFAULT


def test_outside_foreach_a_value_needs_type_and_data() -> None:
    """Otherwise it is skipped; an empty one is there."""
    assert told(make('<value/><value type="A"/><value data="d"/>')) == []
    assert told(make('<value type="" data=""/>')) == [(1, "", "")]


def test_data_may_stand_as_text_or_markup_inside() -> None:
    """Markup is written out again with a newline behind each element, and variables are replaced in it."""
    assert told(make('<value type="T">a ${extension} &amp; b</value>')) == [(1, "T", "a x & b")]
    markup = '<locations chooseby="a&quot;b"><location href="/${extension}"/>&lt;</locations>'
    assert told(make(f'<value type="10320/loc">{markup}</value>')) == [
        (1, "10320/loc", '<locations chooseby=\'a"b\'><location href="/x"/>\n&lt;</locations>')
    ]
    assert told(make('<value type="T" data="attribute">text</value>')) == [(1, "T", "attribute")]


# --- variables --------------------------------------------------------------


def test_the_variables_are_as_asked() -> None:
    """handle, base, extension keep their case."""
    made = make('<value type="T" data="${handle} ${base} ${extension}"/>', handle="88.ab/Sku@Seg")
    assert told(made) == [(1, "T", "88.ab/Sku@Seg 88.ab/Sku Seg")]


def test_variables_are_replaced_in_type_data_index_and_expression() -> None:
    """And in foreach: index, type, data of the current value."""
    assert told(make('<foreach><value type="${type}.${index}" data="${data}!"/></foreach>', base=BASE[1:2])) == [
        (2, "DESC.2", "base!")
    ]
    assert told(make('<if expression="${extension}"><value type="T" data="same"/></if>')) == [(1, "T", "same")]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("${unknown}", ""),
        ("${}", ""),
        ("${extension", "${extension"),
        ("$extension", "$extension"),
        ("$$ {extension}", "$$ {extension}"),
        (r"\${extension}", "${extension}"),
        (r"\\", "\\"),
        (r"\n", "n"),
        ("\\", "\\"),
        ("${extension}${extension}", "xx"),
        ("${${extension}}", "}"),
    ],
)
def test_a_text_is_replaced_once(text: str, made: str) -> None:
    """An unknown name gives nothing, a backslash gives the next character, what came in is not read again."""
    assert told(make(f'<value type="T" data="{text}"/>')) == [(1, "T", made)]


def test_a_replaced_text_is_not_replaced_again() -> None:
    """Who asks cannot put variables into the template."""
    assert told(make('<value type="T" data="${extension}"/>', handle="88.1/b@${base}")) == [(1, "T", "${base}")]


def test_a_variable_of_foreach_ends_with_it() -> None:
    """Outside, index, type and data are unknown names."""
    assert told(make('<foreach/><value type="T" data="[${data}${type}${index}]"/>')) == [(1, "T", "[]")]


# --- if, else ---------------------------------------------------------------

YES, NO = '<value type="T" data="yes"/>', '<else><value type="T" data="no"/></else>'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["yes"]),
        ('negate="true"', ["yes"]),
        ('expression="x"', ["yes"]),
        ('expression="X"', ["no"]),
        ('test="equals" expression="x"', ["yes"]),
        ('value="base" expression="88.1/b"', ["yes"]),
        ('value="base" test="equals" expression="88.1/B"', ["no"]),
        ('value="extension"', ["no"]),
        ('value="unknown"', ["yes"]),
        ('value="unknown" expression="x"', ["no"]),
        ('test="equals"', ["no"]),
        ('expression="x" negate="true"', ["no"]),
        ('expression="y" negate="true"', ["yes"]),
        ('expression="x" negate="false"', ["yes"]),
        ('expression="x" negate="yes"', ["yes"]),
        ('test="starts" expression="x"', []),
        ('test="contains" expression="y"', []),
        ('test="" expression="x"', []),
        ('test="Equals" expression="x"', []),
        ('test="starts" negate="true"', []),
    ],
)
def test_if_compares_a_variable(words: str, expected: list[str]) -> None:
    """equals is case-sensitive; without any word it is true; a word that nobody knows runs neither branch."""
    assert [data for _, _, data in of(make(f"<if {words}>{YES}</if>{NO}") or ())] == expected


def test_else_answers_the_last_if_beside_it() -> None:
    """Not one inside or outside; without an if it does not run; other elements between do not matter."""
    assert told(make(NO)) == []
    assert told(make(f'<if expression="y"/><value type="B" data="b"/>{NO}')) == [(1, "B", "b"), (2, "T", "no")]
    assert told(make(f'<if expression="y"/><if expression="x"/>{NO}')) == []
    assert told(make(f'<if expression="x"><if expression="y"/></if>{NO}')) == []
    assert told(make(f'<if expression="y"/>{NO}{NO}')) == [(1, "T", "no"), (2, "T", "no")]


# --- matches ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "extension", "expected"),
    [
        ('expression="x"', "x", ["yes"]),
        ('expression="X"', "x", ["yes"]),
        ('expression="x"', "X", ["yes"]),
        ('expression="É"', "é", ["yes"]),
        ('expression="X" case_sensitive="true"', "x", ["no"]),
        ('expression="X" case_sensitive="false"', "x", ["yes"]),
        ('expression="x"', "xy", ["no"]),
        ('expression="x|xy"', "xy", ["yes"]),
        ('expression="x.*"', "xy", ["yes"]),
        ('expression="[0-9]{8}"', "20260731", ["yes"]),
        ('expression="盐+"', "盐盐", ["yes"]),
        ('expression=""', "", ["yes"]),
        ("", "", ["yes"]),
        ("", "x", ["no"]),
        ('expression="x" negate="true"', "x", ["no"]),
        ('expression="y" negate="true"', "x", ["yes"]),
        ('value="base" expression="88\\.1/b"', "x", ["yes"]),
        ('value="base" expression="88\\.2/b"', "x", ["no"]),
        ('value="unknown" expression=".+"', "x", ["no"]),
        ('value="unknown" expression=".*"', "x", ["yes"]),
        ('expression="${extension}"', "x", ["no"]),
        ('expression="(x"', "x", []),
        ('expression="(?=x)x"', "x", []),
        ('expression="(x)\\1" negate="true"', "xx", []),
        (f'expression="{"x" * (limits.TEMPLATE_EXPRESSION_CHARS_MAX + 1)}"', "x", []),
        ('expression="[\\pL\\pN]{1,9}"', "x", []),
    ],
)
def test_matches_compares_the_whole_text(words: str, extension: str, expected: list[str]) -> None:
    """Whatever the case, unless told; the expression is as written; one that is none runs neither branch."""
    made = make(f'<if test="matches" {words}>{YES}</if>{NO}', handle=f"88.1/b@{extension}")
    assert [data for _, _, data in of(made or ())] == expected


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("${extension[0]}", "box(1,,3)"),
        ("${extension[1]}-${extension[3]}", "1-3"),
        ("[${extension[2]}${extension[4]}${extension[5]}]", "[]"),
        ("${0}|${1}|${3}|${4}", "box(1,,3)|1|3|"),
        ("$0|$1|$3|$4|$31|$", "box(1,,3)|1|3|||$"),
        (r"\$1 \${1}", "$1 ${1}"),
        ("${01}", "1"),
        ("${extension[01]}", "1"),
        ("${base[1]}${p[1]}${[1]}${extension[]}${extension[x]}${extension[-1]}", ""),
        ("${extension[１]}${１}", ""),
        ("$" + "9" * 5_000 + "${" + "9" * 5_000 + "}${extension[" + "9" * 5_000 + "]}", ""),
        ("${extension[1]", "${extension[1]"),
        ("$1${", "1${"),
        ("${extension} ${base}", "box(1,,3) 88.1/b"),
    ],
)
def test_matches_gives_groups(text: str, made: str) -> None:
    """By the value's name, by number alone; empty where a group took no part or is none."""
    body = f'<value type="T" data="{text}"/>'
    expression = r"box\(([0-9]+),([0-9]+)?,([0-9]+)\)|(other)"
    condition = f'<if test="matches" expression="{expression}">{body}</if>'
    assert told(make(condition, handle="88.1/b@box(1,,3)")) == [(1, "T", made)]


def test_groups_have_the_name_that_parameter_gives() -> None:
    """Else that of the value; a number alone is a group of what is called extension."""
    show = '<value type="T" data="${p[1]}|${base[1]}|${extension[1]}|$1"/>'

    def groups(words: str) -> str:
        return of(make(f'<if test="matches" expression="(.).*" {words}>{show}</if>') or ())[0][2]

    assert groups("") == "||x|x"
    assert groups('parameter="p"') == "x|||"
    assert groups('value="base"') == "|8||"
    assert groups('value="base" parameter="extension"') == "||8|8"


def test_groups_are_known_inside_and_beside_the_if() -> None:
    """Also to else and to what follows in the same element, not outside it; the last matches of a name counts."""
    show = '<value type="T" data="[$1]"/>'
    test = '<if test="matches" expression="(x)" {}>{}</if>'
    assert told(make(test.format("", show))) == [(1, "T", "[x]")]
    assert told(make(test.format('negate="true"', "") + f"<else>{show}</else>")) == [(1, "T", "[x]")]
    assert told(make(test.format("", "") + f"<if>{show}</if>")) == [(1, "T", "[x]")]
    assert told(make(show + test.format("", ""))) == [(1, "T", "[]")]
    assert told(make(f"<if>{test.format('', '')}</if>{show}")) == [(1, "T", "[]")]
    assert told(make(test.format("", "") + f'<if test="matches" expression="(y)"/>{show}')) == [(1, "T", "[]")]
    assert told(make(test.format("", "") + f'<if test="matches" expression=".*"/>{show}')) == [(1, "T", "[]")]
    foreach = f'<foreach>{show}<if value="type" parameter="extension" test="matches" expression="(.*)"/></foreach>'
    assert told(make(foreach, base=BASE[:2])) == [(1, "T", "[]"), (2, "T", "[]")]


def test_a_variable_and_its_groups_do_not_mix() -> None:
    """A def may be called like a group; a group is never replaced again."""
    inner = '<def parameter="extension[1]"><value type="A" data="d"/></def>'
    test = '<if test="matches" expression="(.*)"><value type="T" data="${extension[1]}"/></if>'
    assert told(make(inner + test, handle="88.1/b@${base}")) == [(1, "T", "${base}")]


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+b", "(.*)*(.*)*(.*)*!", "(a?){60}a{60}", "((a*)*)*c"])
def test_a_catastrophic_expression_ends(expression: str) -> None:
    """Two hundred thousand characters take no longer than two hundred thousand steps."""
    base = (HandleValue(1, "T", b"a" * 200_000 + b"!"),)
    test = f'<if value="data" test="matches" expression="{expression}"/>'
    for count in (1, 200):
        try:
            assert told(make(f"<foreach>{test * count}</foreach>", base=base)) == []
        except UnsupportedTemplateError as error:
            assert "too long" in error.message


NO_LETTERS = r"[\PL]" * 20  # slow to compile


@pytest.mark.parametrize(
    "inner",
    [
        "<other/>" * 500,
        '<if expression="y"/>' * 500,
        f'<if value="x" expression="{"${}" * 9_000}"/>',
        f'<if value="x" expression="{"${" * 9_000}"/>',
        "".join(f'<if test="matches" expression="{n}{NO_LETTERS}"/>' for n in range(400)),
        f'<if value="data" test="matches" expression="{"(.*)" * 60}"/>' * 50,
        "".join(f'<if test="matches" expression="" parameter="{n}"/>' for n in range(400)),
        f"<def>{'<value/>' * 300}</def>",
    ],
    ids=range(8),
)
def test_the_work_of_one_resolution_has_a_bound(inner: str) -> None:
    """Small templates over a large base would otherwise hold a worker for minutes."""
    base = tuple(HandleValue(index, "T", b"d" * 60) for index in range(1, limits.VALUES_PER_RECORD_MAX + 1))
    with pytest.raises(UnsupportedTemplateError, match=r"too long|too many"):
        make(f"<foreach>{inner}</foreach>", base=base)


def test_many_refs_have_a_bound() -> None:
    """Each of them a look-up and a document."""
    template = '<template delimiter="@" ref="1:88.2/T"/>'
    templates = templates_of((namespace(f"<n>{template * 500}</n>"),))
    taken = cut("88.1/b@x", templates)
    assert taken is not None
    with pytest.raises(UnsupportedTemplateError, match="takes too long"):
        run(templates, taken, (), lambda _: namespace(f"<template>{'<other/>' * 500}</template>"))


# --- foreach, def, notfound, unknown ----------------------------------------


def test_foreach_runs_over_the_bases_values_in_order() -> None:
    """Not at all over a missing base; literal values still come."""
    assert of(make("<foreach><value/></foreach>", base=BASE[:2]) or ()) == of(BASE[:2])
    assert told(make('<foreach><value/></foreach><value type="T" data="d"/>', base=())) == [(1, "T", "d")]


def test_a_nested_foreach_is_skipped() -> None:
    """Its neighbours run."""
    nested = '<foreach><foreach><value data="inner"/></foreach><value/></foreach>'
    assert make(nested) == BASE
    twice = make("<foreach><value/></foreach><foreach><value/></foreach>", base=BASE[1:2])
    assert told(twice) == [(2, "DESC", "base"), (3, "DESC", "base")]


def test_binary_data_is_shown_with_replacement_characters_and_copied_unchanged() -> None:
    """A variable is text; a copied value keeps its octets."""
    base = (HandleValue(1, "BIN", b"\xff\0"),)
    assert make("<foreach><value/></foreach>", base=base) == base
    assert told(make('<foreach><value data="[${data}]"/></foreach>', base=base)) == [(1, "BIN", "[\ufffd\0]")]


def test_def_names_the_data_of_the_first_value_that_its_children_make() -> None:
    """For later elements beside it and inside them; the values themselves are not part of the answer."""
    inner = '<def parameter="p"><value type="A" data="1${extension}"/><value type="A" data="2"/></def>'
    use = '<value type="T" data="[${p}]"/>'
    assert told(make(inner + use)) == [(1, "T", "[1x]")]
    assert told(make(inner + f"<if>{use}</if>")) == [(1, "T", "[1x]")]
    assert told(make(use + inner)) == [(1, "T", "[]")]
    assert told(make(f"<if>{inner}</if>{use}")) == [(1, "T", "[]")]
    assert told(make(f'<def parameter="p"/>{use}')) == [(1, "T", "[]")]
    assert told(make(f"<foreach>{inner}<value/></foreach>{use}", base=BASE[1:2])) == [
        (2, "DESC", "base"),
        (1, "T", "[]"),
    ]


@pytest.mark.parametrize("name", ["extension", "p"])
def test_a_def_that_hides_a_variable_gives_it_back(name: str) -> None:
    """Behind the element in which it stands, the name means again what it meant before."""
    outer = '<def parameter="p"><value type="A" data="x"/></def>'
    inner = f'<if><def parameter="{name}"><value type="A" data="2"/></def></if>'
    assert told(make(f'{outer}{inner}<value type="T" data="${{{name}}}"/>')) == [(1, "T", "x")]


@pytest.mark.parametrize(
    "inner", ["<notfound/>", f"{YES}<notfound/>", "<if><notfound/></if>", "<def><notfound/></def>"]
)
def test_notfound_ends_everything(inner: str) -> None:
    """Wherever it is reached, and whatever was made before."""
    assert make(inner) is None


def test_notfound_that_is_not_reached_does_nothing() -> None:
    """In a branch that does not run, or over no values."""
    assert told(make(f'<if expression="y"><notfound/></if>{NO}')) == [(1, "T", "no")]
    assert told(make("<foreach><notfound/></foreach>", base=())) == []


def test_what_nobody_knows_is_skipped_with_its_children() -> None:
    """Other elements, text, comments."""
    assert told(make(f"text<other><notfound/>{YES}</other><!-- -->{YES}")) == [(1, "T", "yes")]


def test_a_template_that_makes_nothing_is_no_refusal() -> None:
    """No values is an answer; not found is another."""
    assert make("") == ()


def test_several_templates_run_in_order_and_are_joined() -> None:
    """Only the first delimiter counts; an index taken by one template is taken for the next."""
    xml = f'<n><template delimiter="@">{YES}</template><template delimiter="#">{YES}</template></n>'
    templates = templates_of((namespace(xml),))
    taken = cut("88.1/b@x#y", templates)
    assert taken == Cut("88.1/b@x#y", "88.1/b", "x#y")
    assert told(run(templates, taken, (), NOWHERE)) == [(1, "T", "yes"), (2, "T", "yes")]


# --- ref --------------------------------------------------------------------


def referring(target: dict[tuple[str, int], bytes], ref: str) -> Values | None:
    """Run a template that is only a reference."""

    def find(reference: ValueReference) -> HandleValue | None:
        data = target.get(tuple(reference))
        return None if data is None else HandleValue(reference.value_index, "XML", data)

    templates = templates_of((namespace(f'<template delimiter="@" ref="{ref}"/>'),))
    taken = cut("88.1/b@x", templates)
    assert taken is not None
    return run(templates, taken, BASE, find)


@pytest.mark.parametrize("xml", [f"<template>{YES}</template>", f"<namespace><template>{YES}</template></namespace>"])
def test_a_ref_is_replaced_by_the_template_in_that_value(xml: str) -> None:
    """A template, or a namespace that holds one."""
    assert told(referring({("88.2/T", 7): xml.encode()}, "7:88.2/T")) == [(1, "T", "yes")]


@pytest.mark.parametrize(
    "ref",
    ["", "7", "7:", ":88.2/T", "x:88.2/T", "-7:88.2/T", "７:88.2/T", "8:88.2/T", "7:88.2/U", "99999999999:88.2/T"],
)
def test_a_ref_to_nothing_is_not_found(ref: str) -> None:
    """Without an index, malformed, or to a value that is not there."""
    assert referring({("88.2/T", 7): b"<template/>"}, ref) is None


@pytest.mark.parametrize("xml", [b"", b"<template", b"<namespace/>", b"\xff"])
def test_a_ref_to_what_is_no_template_is_not_found(xml: bytes) -> None:
    """Unreadable XML, or none that holds a template."""
    assert referring({("88.2/T", 7): xml}, "7:88.2/T") is None


def test_refs_are_followed_ten_deep() -> None:
    """TEMPLATE_REF_DEPTH_MAX steps; a circle ends."""
    last = limits.TEMPLATE_REF_DEPTH_MAX
    chain = {(f"88.2/{n}", 1): f'<template ref="1:88.2/{n + 1}"/>'.encode() for n in range(1, 20)}
    ends_in_time = chain | {(f"88.2/{last - 1}", 1): f"<template>{YES}</template>".encode()}
    ends_too_late = chain | {(f"88.2/{last + 1}", 1): f"<template>{YES}</template>".encode()}
    assert told(referring(ends_in_time, "1:88.2/1")) == [(1, "T", "yes")]
    assert referring(ends_too_late, "1:88.2/1") is None
    assert referring({("88.2/a", 1): b'<template ref="1:88.2/a"/>'}, "1:88.2/a") is None


# --- XML and bounds ---------------------------------------------------------


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<!DOCTYPE a><a/>",
        b"<?xml version='1.0'?><!-- --><!DOCTYPE a><a/>",
    ],
)
def test_a_document_type_is_refused(xml: bytes) -> None:
    """No entity is ever expanded and nothing is fetched."""
    with pytest.raises(WireError, match="document type"):
        parse_xml(xml)


def test_xml_has_bounds() -> None:
    """Depth, elements, octets: the last that fits, and the first that does not."""
    depth, count, size = limits.TEMPLATE_DEPTH_MAX, limits.TEMPLATE_ELEMENTS_MAX, limits.TEMPLATE_BYTES_MAX
    fits = [
        b"<a>" * depth + b"</a>" * depth,
        b"<a>" + b"<b/>" * (count - 1) + b"</a>",
        b"<a>" + b"x" * (size - 7) + b"</a>",
    ]
    for xml in fits:
        assert parse_xml(xml).tag == "a"
    for xml in (b"<a>" * (depth + 1) + b"</a>" * (depth + 1), b"<a>" + b"<b/>" * count + b"</a>", b" " + fits[2]):
        with pytest.raises(WireError):
            parse_xml(xml)


@pytest.mark.parametrize("encoding", ["foo", "rot13", "hex"])
def test_an_encoding_that_nobody_knows_is_refused(encoding: str) -> None:
    """The XML declaration may name any word."""
    with pytest.raises(WireError):
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><template/>'.encode())


@pytest.mark.parametrize("encoding", ["gbk", "idna", "undefined", "utf-16"])
def test_an_encoding_that_expat_cannot_read_is_refused(encoding: str) -> None:
    """Known to Python, but of several octets, or no character set."""
    with pytest.raises(WireError):
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><template/>'.encode())


def test_a_replaced_text_ends_at_its_bound() -> None:
    """TEMPLATE_TEXT_CHARS_MAX characters, also where definitions double each other."""
    doubling = "".join(
        f'<def parameter="p{n + 1}"><value type="T" data="${{p{n}}}${{p{n}}}"/></def>' for n in range(30)
    )
    with pytest.raises(UnsupportedTemplateError, match="too long"):
        make(f'<def parameter="p0"><value type="T" data="salt"/></def>{doubling}<value type="T" data="${{p30}}"/>')


def test_replacing_takes_no_more_memory_than_its_bound_allows() -> None:
    """A small template over one large value must not build hundreds of megabytes."""
    base = (HandleValue(1, "T", b"d" * 100_000),)
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedTemplateError, match="too long"):
            make(f'<foreach><value data="{"${data}" * 500}"/></foreach>', base=base)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


def test_a_template_makes_no_more_values_than_a_record_holds() -> None:
    """VALUES_PER_RECORD_MAX pass; one more is refused and said so."""
    base = tuple(HandleValue(index, "T", b"") for index in range(1, limits.VALUES_PER_RECORD_MAX + 1))
    assert make("<foreach><value/></foreach>", base=base) == base
    with pytest.raises(UnsupportedTemplateError, match="too many values"):
        make("<foreach><value/></foreach>" + YES, base=base)


def test_what_a_template_makes_fits_in_a_record() -> None:
    """A base of 10 kB and a template of 2 kB must not make an answer of megabytes."""
    base = tuple(HandleValue(index, "T", b"d" * 60) for index in range(1, 101))
    try:
        made = make(f'<foreach><value data="{"${data}" * 300}"/></foreach>', base=base) or ()
    except UnsupportedTemplateError:
        return
    assert sum(len(value.data) for value in made) <= limits.RECORD_BYTES_MAX


# --- totality ---------------------------------------------------------------

ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "value",
            "test",
            "expression",
            "case_sensitive",
            "negate",
            "index",
            "type",
            "data",
            "parameter",
            "ref",
            "delimiter",
        ]
    ),
    st.sampled_from(
        [
            "",
            "@",
            "extension",
            "type",
            "data",
            "equals",
            "matches",
            "x",
            "(x)|.*",
            "(",
            "$1${extension[0]}${p[1]}",
            "URL",
            "${data}",
            "${index}",
            "true",
            "1:88.1/t",
            "p",
            "${p}",
            "7",
        ]
    ),
    max_size=4,
)
TAGS = st.sampled_from(["value", "if", "else", "foreach", "def", "notfound", "template", "other"])


def element(tag: str, words: dict[str, str], children: list[str]) -> str:
    return f"<{tag}" + "".join(f' {name}="{word}"' for name, word in words.items()) + f">{''.join(children)}</{tag}>"


XML = st.recursive(
    st.builds(element, TAGS, ATTRIBUTES, st.just([])),
    lambda inner: st.builds(element, TAGS, ATTRIBUTES, st.lists(inner, max_size=4)),
    max_leaves=15,
)


@given(inner=st.lists(XML, max_size=4).map("".join), referred=XML)
def test_template_total_on_any_program(inner: str, referred: str) -> None:
    """Any tree of elements gives values with indexes of their own, not found, or a refusal of ours."""
    try:
        made = make(inner, find=lambda ref: HandleValue(ref.value_index, "XML", referred.encode()))
    except UnsupportedTemplateError:
        return
    indexes = [value.value_index for value in made or ()]
    assert len(indexes) == len(set(indexes))


@given(data=st.one_of(st.binary(max_size=80), XML.map(str.encode)))
@example(data=b"\xff\xfe<\0a\0/\0>\0")
@example(data=b"<a>&#xFFFF;</a>")
def test_template_any_bytes_give_xml_or_wire_error(data: bytes) -> None:
    """parse_xml() never raises anything but WireError (an unknown encoding apart, see above)."""
    if b"encoding" in data:
        return
    try:
        parse_xml(data)
    except NodeError as error:
        assert isinstance(error, WireError)


@given(handle=st.text(max_size=40), delimiter=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3))
def test_cutting_total_on_any_text(handle: str, delimiter: str) -> None:
    """Base, delimiter and extension are the handle again, and the prefix is never cut."""
    templates = templates_of((namespace(element("template", {"delimiter": _escaped(delimiter)}, [])),))
    taken = cut(handle, templates)
    if taken is not None:
        written = templates[0].attributes["delimiter"]
        assert taken.base + written + taken.extension == handle
        assert len(taken.base) >= handle.index("/")


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() and char.isascii() else f"&#{ord(char)};" for char in text)


def test_a_def_does_not_publish_what_is_not_public() -> None:
    """A secret of the base would otherwise come out under the permissions of a new value."""
    base = (HandleValue(1, "HS_SECKEY", b"salt-secret", permissions=0b1100),)
    body = '<def parameter="x"><foreach><value/></foreach></def><value type="LEAK" data="${x}"/>'
    made = make(body, base=base)
    assert made is not None
    assert [value.data for value in made] == [b""]
