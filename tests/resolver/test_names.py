"""Names where case matters, and where a site has several servers: registry and resolver together."""

from __future__ import annotations

import json

import pytest

from core.admission import Identity
from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.ident.sitehash import ServerChoice
from core.records import AdminRecord, HandleValue, HashOption
from core.store.case_row import adopt_case
from core.store.engine import Engine
from core.store.fsck import check_store
from core.store.memory_engine import MemoryEngine
from core.wire.admin import encode_admin, encode_group
from registry.commands import (
    OPERATOR,
    Actor,
    Add,
    Command,
    Delete,
    Home,
    Modify,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    Token,
    Unhome,
)
from registry.service import Registry
from resolver.service import Answer, Question, Resolver
from tests.kit.vectors import load

NOW = Millis(1_700_000_000_000)
CASED = HandleRules(case_sensitive=True)
FIRST_OF_THREE = HandleRules(server=ServerChoice(HashOption.BY_ALL, 3, 0))
EXCHANGES = load("handle/set_e_three_server_site_tcp.json")["exchanges"]
WRONG_SERVER = "Request was hashed incorrectly"


def value(index: int, kind: str, data: bytes, permissions: int = 0b1110) -> HandleValue:
    return HandleValue(index, kind, data, permissions=permissions, timestamp=NOW // 1_000)


def run(store: Engine, rules: HandleRules, *commands: Command, actor: Actor = OPERATOR) -> list[Result]:
    return Registry(store, rules, founding=True).run([Request(command, actor) for command in commands], NOW)


def ask(store: Engine, rules: HandleRules, handle: str) -> Answer:
    with store.snapshot() as snapshot:
        return Resolver(rules).resolve(snapshot, Question(handle, want="values"))


def shown(answer: Answer) -> list[bytes]:
    return [each.data for each in answer.values or ()]


# --- where case matters -------------------------------------------------------


@pytest.fixture
def cased() -> MemoryEngine:
    store = MemoryEngine()
    adopt_case(store, case_sensitive=True)
    run(store, CASED, Home("88.a"))
    return store


def test_suffixes_that_differ_in_case_are_two_records(cased: MemoryEngine) -> None:
    """By every operation; prefix and prefix handle fold."""
    lower, upper = (value(1, "URL", b"lower"),), (value(1, "URL", b"upper"),)
    made = run(cased, CASED, Put("88.a/x", lower), Put("88.A/X", upper), Put("0.na/88.a", lower))
    assert [result.outcome for result in made] == [Outcome.CREATED] * 3
    assert shown(ask(cased, CASED, "88.A/x")) == [b"lower"]
    assert shown(ask(cased, CASED, "88.a/X")) == [b"upper"]
    assert shown(ask(cased, CASED, "0.Na/88.A")) == shown(ask(cased, CASED, "88.a")) == [b"lower"]
    removed = run(cased, CASED, Delete("88.A/x"), Modify("88.a/x", upper), Remove("88.a/X", (1,)))
    assert [result.outcome for result in removed] == [Outcome.OK, Outcome.HANDLE_NOT_FOUND, Outcome.OK]
    with cased.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


def test_a_batch_keeps_the_case_too(cased: MemoryEngine) -> None:
    """On its short way."""
    values = [{"index": 1, "type": "URL", "data": "u"}]
    items = [{"handle": f"88.a/{suffix}", "values": values} for suffix in ("b", "B", "b")]
    answer = json.loads(run(cased, CASED, PutBatch(json.dumps(items).encode(), lines=False))[0].body)
    assert answer["counts"] == {"created": 2, "ok": 1}


def test_types_fold_all_the_same(cased: MemoryEngine) -> None:
    """In the filter of a question."""
    run(cased, CASED, Put("88.a/t", (value(1, "Url", b"u"),)))
    with cased.snapshot() as snapshot:
        answer = Resolver(CASED).resolve(snapshot, Question("88.a/t", types=("uRL",)))
    assert shown(answer) == [b"u"]


def test_an_administrator_is_the_one_that_is_spelt_so(cased: MemoryEngine) -> None:
    """Directly, by a group, as server administrator, and as the owner of a token."""
    group = (value(200, "HS_VLIST", encode_group((Identity("88.a/Bob", 1),))),)
    admins = (
        value(100, "HS_ADMIN", encode_admin(AdminRecord(0xFFF, "88.a/Adm", 1))),
        value(101, "HS_ADMIN", encode_admin(AdminRecord(0xFFF, "88.a/Team", 200))),
    )
    run(cased, CASED, Put("0.NA/88.a", admins), Put("88.A/Team", group))
    registry = Registry(cased, CASED, server_admins=frozenset({(CASED.key("88.a/Root"), 1)}), founding=True)
    for number, (handle, admitted) in enumerate(
        [
            ("88.A/Adm", True),
            ("88.a/ADM", False),
            ("88.A/Bob", True),
            ("88.a/bob", False),
            ("88.A/Root", True),
            ("88.a/root", False),
        ]
    ):
        command = Put(f"88.a/n{number}", (value(1, "URL", b"u"),))
        result = registry.run([Request(command, Actor(Identity(handle, 1)))], NOW)[0]
        assert result.done is admitted, handle
    requests = [
        Request(Delete("88.a/none"), Actor(Identity(handle, 1)), Token("t", handle.encode()))
        for handle in ("88.a/Root", "88.a/ROOT")
    ]
    assert [result.outcome for result in registry.run(requests, NOW)] == [Outcome.HANDLE_NOT_FOUND] * 2


def test_a_template_looks_for_its_base_as_it_is_spelt(cased: MemoryEngine) -> None:
    """The base, and a template that is referred to."""
    template = b'<template delimiter="@" ref="7:88.A/Tpl"/>'
    body = b'<template delimiter="@"><foreach><value data="${data}+${extension}"/></foreach></template>'
    run(
        cased, CASED,
        Put("0.NA/88.a", (value(1, "HS_NAMESPACE", template),)),
        Put("88.a/Tpl", (value(7, "HS_NAMESPACE", body),)),
        Put("88.a/Base", (value(1, "URL", b"kept"),)),
        Put("88.a/BASE", (value(1, "URL", b"folded"),)),
    )  # fmt: skip
    assert shown(ask(cased, CASED, "88.A/Base@x")) == [b"kept+x"]
    assert shown(ask(cased, CASED, "88.a/BASE@x")) == [b"folded+x"]
    assert ask(cased, CASED, "88.a/base@x").outcome is Outcome.NO_VALUES


# --- several servers of one site ------------------------------------------------


def test_the_node_answers_what_the_reference_server_answered() -> None:
    """The first of three servers: 301 for what belongs to the others, the record for the rest."""
    store = MemoryEngine()
    urls = (value(1, "URL", b"u"),)
    handles = [exchange["handle"] for exchange in EXCHANGES]
    run(store, HandleRules(), Home("88.9999.1"), *[Put(handle, urls, overwrite=True) for handle in handles])
    for exchange in EXCHANGES:
        answer = ask(store, FIRST_OF_THREE, exchange["handle"])
        wrong = exchange["responseCode"] == 301
        assert answer.outcome is (Outcome.NOT_RESPONSIBLE if wrong else Outcome.OK)
        assert answer.message == (WRONG_SERVER if wrong else "")


def test_another_servers_handle_is_refused_before_all_else() -> None:
    """Whether or not the prefix is homed; on every change, the operator's too, and in a batch."""
    store = MemoryEngine()
    run(store, FIRST_OF_THREE, Home("88.9999.1"))
    values = (value(1, "URL", b"u"),)
    takes = ServerChoice(HashOption.BY_ALL, 3, 0).takes
    for prefix in ("88.9999.1", "99.1"):
        theirs = next(each for each in (f"{prefix}/{n}" for n in range(100)) if not takes(each))
        assert ask(store, FIRST_OF_THREE, theirs).message == WRONG_SERVER
        commands = (Put(theirs, values), Put(theirs, values, mint=True), Add(theirs, values), Modify(theirs, values))
        for command in (*commands, Remove(theirs, (1,)), Delete(theirs)):
            result = run(store, FIRST_OF_THREE, command)[0]
            assert (result.outcome, result.message) == (Outcome.NOT_RESPONSIBLE, WRONG_SERVER)
        body = json.dumps([{"handle": theirs, "values": []}]).encode()
        item = json.loads(run(store, FIRST_OF_THREE, PutBatch(body, lines=False))[0].body)["results"][0]
        assert (item["outcome"], item["message"]) == ("not-responsible", WRONG_SERVER)


def test_prefixes_are_homed_at_every_server() -> None:
    """Each holds records of all of them; so does each look at the administrators that it has."""
    store = MemoryEngine()
    admin = Identity("0.NA/88.1", 300)
    named = (value(100, "HS_ADMIN", encode_admin(AdminRecord(0xFFF, admin.handle, 300))),)
    run(store, HandleRules(), Home("88.1"), Put("0.NA/88.1", named))
    for position in range(3):
        rules = HandleRules(server=ServerChoice(HashOption.BY_ALL, 3, position))
        assert [result.done for result in run(store, rules, Home("88.7"), Unhome("88.7"))] == [True, True]
        ours = next(f"88.1/{n}" for n in range(100) if rules.server is not None and rules.server.takes(f"88.1/{n}"))
        assert run(store, rules, Put(ours, ()), actor=Actor(admin))[0].done


def test_what_is_minted_belongs_to_the_server_that_minted_it() -> None:
    """Nobody would find it otherwise."""
    store = MemoryEngine()
    run(store, FIRST_OF_THREE, Home("88.9999.1"))
    stem = next(exchange["handle"] for exchange in EXCHANGES if exchange["responseCode"] == 1)
    for result in run(store, FIRST_OF_THREE, *[Put(stem, (value(1, "URL", b"u"),), mint=True)] * 20):
        assert result.done
        assert ask(store, FIRST_OF_THREE, result.handle).outcome is Outcome.OK
