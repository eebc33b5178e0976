"""Records that are bound to a metadata template: validated by every way of writing; what is withdrawn, refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity
from core.errors import Outcome
from core.hdl.exchange import Asked
from core.records import HandleValue, Values
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.wire.codepoints import VERSION, OpCode, OpFlag
from core.wire.cursor import text
from core.wire.values import encode_values
from core.wire.valuetypes import METADATA_TEMPLATE
from registry.commands import (
    ANONYMOUS,
    Add,
    AddTemplate,
    Command,
    Delete,
    Modify,
    PublishTemplate,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    WithdrawTemplate,
)
from registry.handle_api import HandleApi
from tests.kit.governance import ADMIN, OWN, RULES, Office
from tests.kit.templates import CODE, GOOD, as_json, bound, template_form, template_members

NAME = f"{OWN}/BAG"
FREE = (HandleValue(1, "URL", b"https://salt.example.cn"),)


def office_with(*versions: str) -> Office:
    """Return a node where these versions of the sample are published."""
    office = Office()
    for version in versions or ("1.0",):
        office.do(AddTemplate(template_form(version=version)))
        office.do(PublishTemplate(CODE))
    return office


def batch(values: Values, *, overwrite: bool = True, keep: bool = False, handle: str = NAME) -> PutBatch:
    body = json.dumps([{"handle": handle, "values": as_json(values)}]).encode()
    return PutBatch(body, lines=False, overwrite=overwrite, keep_timestamps=keep)


def ended(result: Result) -> tuple[Outcome, str]:
    """Return how a write ended; of a batch, its one item."""
    if not result.body:
        return result.outcome, result.message
    (item,) = json.loads(result.body)["results"]
    return Outcome(item["outcome"]), item.get("message", "")


def without(name: str) -> Values:
    return tuple(value for value in bound() if value.type != name)


# --- every way of writing --------------------------------------------------------
def creating(values: Values) -> dict[str, list[Command]]:
    """Return each way to a record with these values; the last command of each is the one that leads there."""
    rest = tuple(value for value in values if value.type != METADATA_TEMPLATE)
    binding = tuple(value for value in values if value.type == METADATA_TEMPLATE)
    other = tuple(value._replace(data=b"?") for value in values)
    free = tuple(value._replace(type="FREE") if value.type == METADATA_TEMPLATE else value for value in other)
    spare = HandleValue(500, METADATA_TEMPLATE, b"?")
    return {
        "create": [Put(NAME, values)],
        "replace": [Put(NAME, FREE), Put(NAME, values, overwrite=True)],
        "batch": [batch(values)],
        "batch, replacing": [Put(NAME, FREE), batch(values)],
        "import": [batch(values, keep=True)],
        "add the binding": [Put(NAME, rest or FREE), Add(NAME, binding)],
        "add and replace": [Put(NAME, free), Add(NAME, values, overwrite=True)],
        "modify": [Put(NAME, free), Modify(NAME, values)],
        "remove": [Put(NAME, (*values, spare._replace(type="FREE"))), Remove(NAME, (500,))],
    }


WAYS = list(creating(FREE))


@pytest.mark.parametrize("way", WAYS)
def test_what_fits_is_registered_as_it_is(way: str) -> None:
    """By each way; the record says what was sent, and nothing else."""
    office = office_with()
    *before, last = creating(bound())[way]
    for command in before:
        office.do(command)
    assert ended(office.ask(last))[0] in (Outcome.CREATED, Outcome.OK)
    stored = {value.value_index: (value.type, value.data) for value in office.values(NAME)}
    assert stored == {value.value_index: (value.type, value.data) for value in bound()}


@pytest.mark.parametrize("way", [way for way in WAYS if way != "remove"])
def test_what_does_not_fit_is_refused_with_every_fault(way: str) -> None:
    """By each way: all faults at once with their paths, and nothing is written."""
    office = office_with()
    values = bound(PRODUCT_NAME=None, NET_CONTENT="4oo", PRODUCED="2026-02-30", DETAILS="x")
    *before, last = creating(values)[way]
    for command in before:
        office.do(command)
    state = office.dump(Table.JOURNAL, Table.META)
    outcome, message = ended(office.ask(last))
    assert outcome is Outcome.INVALID_VALUE
    for path in ("PRODUCT_NAME ", "NET_CONTENT[11] ", "PRODUCED[13] ", "DETAILS[16] "):
        assert message.count(path) == 2, path  # in both languages
    assert f"{CODE}@1.0" in message
    assert "4oo" not in message
    assert office.dump(Table.JOURNAL, Table.META) == state


def test_a_change_that_leaves_a_bound_record_wrong_is_refused() -> None:
    """Removed, modified, added or replaced: the record stays what its template says."""
    office = office_with()
    office.do(Put(NAME, bound()))
    before = office.dump(Table.JOURNAL, Table.META)
    for command, path in (
        (Remove(NAME, (10,)), "PRODUCT_NAME"),
        (Modify(NAME, (HandleValue(11, "NET_CONTENT", b"x"),)), "NET_CONTENT[11]"),
        (Modify(NAME, (HandleValue(11, "OTHER", b"400"),)), "NET_CONTENT"),
        (Add(NAME, (HandleValue(50, "net_content", b"x"),)), "NET_CONTENT[50]"),
        (Put(NAME, without("IODISED"), overwrite=True), "IODISED"),
        (batch(without("IODISED")), "IODISED"),
        (batch(without("IODISED"), keep=True), "IODISED"),
    ):
        outcome, message = ended(office.ask(command))
        assert (outcome, path in message) == (Outcome.INVALID_VALUE, True), command
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_other_values_and_optional_items_are_free() -> None:
    """They come and go; the binding goes, too, and then everything is free; so is deleting the record."""
    office = office_with()
    office.do(Put(NAME, bound()))
    office.do(Remove(NAME, (2, 12, 14, 16)))
    office.do(Add(NAME, (HandleValue(3, "EMAIL", b"a@b.cn"), HandleValue(40, "net_content", b"500"))))
    office.do(Remove(NAME, (1,)))
    office.do(Remove(NAME, (10, 11)))
    office.do(Put(NAME, bound(), overwrite=True))
    office.do(Put(NAME, FREE, overwrite=True))
    office.do(Put(NAME, bound(), overwrite=True))
    office.do(Delete(NAME))


@pytest.mark.parametrize("sent", ["metadata_template", "Metadata_Template"])
def test_types_compare_without_case(sent: str) -> None:
    """Of the binding and of items, on the long way and on the quick one."""
    office = office_with()
    values = tuple(
        value._replace(type=sent if value.type == METADATA_TEMPLATE else value.type.lower()) for value in bound()
    )
    office.do(Put(NAME, values))
    wrong = tuple(value for value in values if value.type != "iodised")
    for command in (Put(f"{OWN}/B", wrong), batch(wrong, handle=f"{OWN}/C")):
        outcome, message = ended(office.ask(command))
        assert (outcome, "IODISED" in message) == (Outcome.INVALID_VALUE, True)


# --- data ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("PRODUCT_NAME", b"", "is empty"),
        ("PRODUCT_NAME", b"\xff", "UTF-8"),
        ("PRODUCT_NAME", "盐".encode() * 65, "64 characters at most"),
        ("PRODUCT_NAME", b"a\0", "without control characters"),
        ("NET_CONTENT", b"123456789", "8 characters at most"),
        ("NET_CONTENT", b"1.5", "whole number"),
        ("IODINE", b"", "is empty"),
        ("PRODUCED", b"2026-10-01T00:00:00Z", "10 characters at most"),
        ("PACKED_AT", b"2026-10-01", "offset"),
        ("IODISED", b"TRUE", "true or false"),
        ("DETAILS", b"ftp://a.cn", "http"),
    ],
)
def test_data_that_is_refused(name: str, data: bytes, word: str) -> None:
    office = office_with()
    result = office.ask(Put(NAME, bound(**{name: data})))
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "binding-items")
    assert f"{name}[" in result.message
    assert word in result.message


@given(st.dictionaries(st.sampled_from([*GOOD, "OTHER"]), st.binary(max_size=12), max_size=4))
def test_any_data_is_taken_or_refused(changes: dict[str, bytes]) -> None:
    """Never anything else; what is taken can be read back, and the store is sound."""
    office = OFFICE.fork()
    result = office.ask(Put(NAME, bound(**changes)))
    assert result.done or result.rule == "binding-items", result
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


OFFICE = office_with()


def test_a_flood_of_faults_is_counted() -> None:
    """So many are told one by one."""
    office = office_with()
    many = tuple(HandleValue(100 + n, "NET_CONTENT", b"x") for n in range(1_000))
    result = office.ask(Put(NAME, (*bound(), *many)))
    assert result.message.count("[1") == 2 * limits.METADATA_FAULTS_TOLD
    assert f"and {1_000 - limits.METADATA_FAULTS_TOLD} more" in result.message
    assert len(result.message) < 6_000


# --- the binding itself ------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "rule", "words"),
    [
        (CODE, "binding-version", [f"{CODE}@1.0", f"{CODE}@2.0"]),
        ("SALT", "binding-version", ["SALT@VERSION", "published: –"]),
        (f"{CODE}@3.0", "binding-unknown", [f"{CODE}@3.0", f"{CODE}@2.0, {CODE}@1.0"]),
        ("OTHER@1.0", "binding-unknown", ["OTHER@1.0", "published: –"]),
        (f"{CODE}@4.0", "binding-draft", [f"{CODE}@4.0"]),
        (f"{CODE}@", "binding-form", ["CODE@VERSION"]),
        (f"{CODE}@new", "binding-form", ["CODE@VERSION"]),
        ("食盐@1.0", "binding-form", ["CODE@VERSION"]),
        ("", "binding-form", ["CODE@VERSION"]),
        ("x" * 10_000, "binding-form", ["CODE@VERSION"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_binding_names_one_published_version(data: str, rule: str, words: list[str]) -> None:
    """Nothing is chosen for it; the refusal names what could be."""
    office = office_with("1.0", "2.0")
    office.do(AddTemplate(template_form(version="4.0")))
    result = office.ask(Put(NAME, bound(data)))
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, rule)
    for word in words:
        assert word in result.message


def test_a_record_has_one_binding() -> None:
    office = office_with("1.0", "2.0")
    two = (*bound(), HandleValue(90, METADATA_TEMPLATE.lower(), f"{CODE}@2.0".encode()))
    assert office.ask(Put(NAME, two)).rule == "binding-once"
    office.do(Put(NAME, bound()))
    assert office.ask(Add(NAME, two[-1:])).rule == "binding-once"
    assert ended(office.ask(batch(two)))[0] is Outcome.INVALID_VALUE


def test_each_version_has_its_own_items() -> None:
    """A record goes from one to the other as far as it fits; the earlier one goes on for its records."""
    office = office_with()
    items = [*template_members()["items"], {"name": "BRAND", "alias": "品牌", "type": "text", "length": 20}]
    office.do(AddTemplate(template_form(version="2.0", items=items)))
    office.do(PublishTemplate(CODE))
    second = bound(f"{CODE.lower()}@V2")
    assert "BRAND" in office.ask(Put(NAME, second)).message
    office.do(Put(NAME, bound()))
    assert office.ask(Modify(NAME, second[:1])).rule == "binding-items"
    office.do(Add(NAME, (*second[:1], HandleValue(60, "BRAND", "海".encode())), overwrite=True))
    office.do(Modify(NAME, bound()[:1]))


# --- withdrawn -----------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_a_withdrawn_template_refuses_new_registrations(way: str) -> None:
    """By each way, whether the record is new or is to be bound anew; the refusal names what is published."""
    office = office_with("1.0", "2.0")
    *before, last = creating(bound())[way]
    if way == "remove":
        last = Put(NAME, bound(), overwrite=True)
        before = [Put(NAME, FREE)]
    for command in before:
        office.do(command)
    office.do(WithdrawTemplate(CODE, "1.0"))
    state = office.dump(Table.JOURNAL, Table.META)
    outcome, message = ended(office.ask(last))
    assert outcome is Outcome.INVALID_VALUE
    assert f"withdrawn and takes no new registration; published: {CODE}@2.0" in message
    assert office.dump(Table.JOURNAL, Table.META) == state


def test_what_is_bound_to_a_withdrawn_template_goes_on() -> None:
    """It is answered as before, changed within its template, exported and imported in its place; not bound again."""
    office = office_with()
    office.do(Put(NAME, bound()))
    before = office.dump(Table.TEMPLATES, Table.JOURNAL, Table.META)
    office.do(WithdrawTemplate(CODE))
    after = office.dump(Table.TEMPLATES, Table.JOURNAL, Table.META)
    assert {name for name in after if after[name] != before[name]} == {"changes"}
    office.do(Modify(NAME, (HandleValue(11, "NET_CONTENT", b"500"),)))
    office.do(Put(NAME, bound(f"{CODE.lower()}@V1.0.0", NET_CONTENT="350"), overwrite=True))
    assert ended(office.ask(batch(bound(), keep=True)))[0] is Outcome.OK
    assert office.ask(Modify(NAME, (HandleValue(11, "NET_CONTENT", b"x"),))).rule == "binding-items"
    office.do(Remove(NAME, (1,)))
    assert office.ask(Add(NAME, bound()[:1])).rule == "binding-withdrawn"
    office.do(Delete(NAME))
    assert office.ask(Put(NAME, bound())).rule == "binding-withdrawn"


def test_withdrawing_between_two_requests_of_one_group() -> None:
    """What comes behind it sees it, what came before it is bound."""
    office = office_with()
    first, withdrawn, second, change = office.run(
        Put(NAME, bound()),
        WithdrawTemplate(CODE),
        Put(f"{OWN}/B", bound()),
        Modify(NAME, (HandleValue(11, "NET_CONTENT", b"1"),)),
    )
    assert (first.done, withdrawn.done, second.rule, change.done) == (True, True, "binding-withdrawn", True)


# --- batches and rights ----------------------------------------------------------------
def test_each_item_of_a_batch_ends_on_its_own() -> None:
    """Bound and right, bound and wrong, free: and no template is a template of free records."""
    office = office_with()
    records = [
        {"handle": f"{OWN}/{n}", "values": as_json(values)}
        for n, values in enumerate([bound(), without("IODISED"), FREE, bound("X@1"), bound(), without("PRODUCED")])
    ]
    told = json.loads(office.ask(PutBatch(json.dumps(records).encode(), lines=False)).body)
    outcomes = [item["outcome"] for item in told["results"]]
    assert outcomes == ["created", "invalid-value", "created", "invalid-value", "created", "invalid-value"]
    assert "IODISED" in told["results"][1]["message"]
    assert f"{OWN}/1" not in office.rows(Table.RECORDS)


def test_who_may_not_write_is_told_nothing_of_templates() -> None:
    """The right is looked at first."""
    office = office_with()
    stranger = office.bearer("enterprise", party=office.party())[0]
    for actor, outcome in ((stranger, Outcome.FORBIDDEN), (ANONYMOUS, Outcome.AUTHENTICATION_NEEDED)):
        for command in (Put(NAME, bound("X@1")), Put(NAME, without("IODISED"))):
            result = office.ask(command, actor)
            assert (result.outcome, result.message) == (outcome, "")


def test_public_write_keeps_within_the_template() -> None:
    """A value that anyone may write is checked whoever writes it."""
    office = office_with()
    values = tuple(value._replace(permissions=0b1111) if value.type == "NET_CONTENT" else value for value in bound())
    office.do(Put(NAME, values))
    write = HandleValue(11, "NET_CONTENT", b"500", permissions=0b1111)
    assert office.ask(Modify(NAME, (write,)), ANONYMOUS).done
    assert office.ask(Modify(NAME, (write._replace(data=b"x"),)), ANONYMOUS).rule == "binding-items"


def test_a_template_that_cannot_be_read_fails_its_records_alone() -> None:
    """Damage is told as such, and others are written."""

    office = office_with()
    damage = Batch()
    damage.put(Table.TEMPLATES, f"{CODE}@1".encode(), b"\x01\xc1")
    office.store.commit(damage)
    results = office.run(Put(f"{OWN}/A", FREE), Put(NAME, bound()), batch(bound()), Put(f"{OWN}/B", FREE))
    assert [ended(each)[0] for each in results] == [
        Outcome.CREATED, Outcome.INTERNAL, Outcome.INTERNAL, Outcome.CREATED,
    ]  # fmt: skip


# --- the Handle protocol ------------------------------------------------------------------
def test_the_handle_protocol_meets_the_same_rules() -> None:
    """Operations 100, 102, 103 and 104: code 202 with all that is wrong, or done."""
    office = office_with()

    class Registrar:
        async def call(self, request: Request) -> Result:
            return office.registry.run([request], office.now)[0]

    api = HandleApi(RULES, office.store, Registrar(), root=False)

    def ask(op: OpCode, body: bytes, flags: int = 0) -> Any:
        asked = Asked(op, flags, body, VERSION, Identity(*ADMIN))
        return asyncio.run(api.answer(asked))

    def sent(values: Values) -> bytes:
        return text(NAME) + encode_values(values)

    wrong = ask(OpCode.CREATE_HANDLE, sent(without("IODISED")))
    assert wrong.outcome is Outcome.INVALID_VALUE
    assert b"IODISED" in wrong.body
    assert ask(OpCode.CREATE_HANDLE, sent(bound())).outcome is Outcome.OK
    for op, values in (
        (OpCode.ADD_VALUE, (HandleValue(70, "NET_CONTENT", b"x"),)),
        (OpCode.MODIFY_VALUE, (HandleValue(11, "NET_CONTENT", b"x"),)),
        (OpCode.CREATE_HANDLE, without("PRODUCED")),
    ):
        flags = OpFlag.OVERWRITE if op is OpCode.CREATE_HANDLE else 0
        assert ask(op, sent(values), flags).outcome is Outcome.INVALID_VALUE, op
    removed = ask(OpCode.REMOVE_VALUE, text(NAME) + (1).to_bytes(4, "big") + (10).to_bytes(4, "big"))
    assert removed.outcome is Outcome.INVALID_VALUE
    assert ask(OpCode.MODIFY_VALUE, sent((HandleValue(11, "NET_CONTENT", b"500"),))).outcome is Outcome.OK
