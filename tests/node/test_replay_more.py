"""The recorded exchanges about rights, order of checks, versions and names, replayed octet by octet at a real node.

A step "X" is a recorded request, "X#answer" the operation 200 that answers its challenge: it is made anew for our
nonce, by the same identity and method. Where only the answer was recorded the request is made from its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from core.records import HandleValue, Values
from core.wire.values import decode_values
from tests.kit.handle_bench import (
    ADM,
    OPERATIONS,
    OPERATOR,
    PLAIN,
    PREFIX_OPERATIONS,
    Ask,
    Bench,
    admin,
    bench,
    change,
)
from tests.kit.handle_client import Client, Tcp, answer_version
from tests.kit.handle_messages import Flag, Message, Op, Reader, Reply, Value, bstr, decode_reply
from tests.kit.handle_proofs import (
    Credential,
    SecretKey,
    request_digest,
    secret_key_proof,
)
from tests.kit.handle_recorded import EXCHANGES, pair
from tests.kit.handle_replay import (
    anchors,
    bulk,
    comparable,
    differences,
    private_key,
    require_same_set_up,
    require_signed,
)
from tests.kit.vectors import load, reference_records

TEMPLATES = {each["name"]: each for each in load("handle/templates.json")["exchanges"]}
BASE_VALUES = bytes.fromhex(load("handle/templates.json")["base_values_hex"])
OPERATOR_SECRET = b"salt-secret-key"

NOT_REPLAYED = {
    "rc7_read_v2.5": "this node has no state in which it is switched off",
    "rc7_site": "this node has no state in which it is switched off",
    "template_other_test_words_0": "cannot be written here; see tests/resolver/test_replay_templates.py",
    "template_ref_bad_0": "cannot be written here; see tests/resolver/test_replay_templates.py",
    "template_bad_xml_0": "cannot be written here; see tests/resolver/test_replay_templates.py",
}
BY_RULE = {
    "hs_mac_answer_v2.8", "session_first_request_wrong_mac#answer", "session_105", "session_setup_anonymous",
}  # fmt: skip
"""Exchanges in sessions whose keys nobody has any more: what is compared stands in tests of their own."""

STEPS: dict[str, list[str]] = {}
for _name in EXCHANGES:
    if _name not in NOT_REPLAYED and _name not in BY_RULE:
        STEPS.setdefault(_name.partition("#")[0], []).append(_name)


# --- what differs on purpose ---


class Difference(NamedTuple):
    """An exception: heading of the divergence, and what ours answers, made from request and recorded answer."""

    anchor: str
    mend: Callable[[Message, Message], Message]


def coded(code: int, body: bytes | None = None) -> Callable[[Message, Message], Message]:
    return lambda _, want: replace(want, code=code, body=want.body if body is None else body)


def ordinary(request: Message, code: int, body: bytes = b"") -> Message:
    """An answer to a request of this version without RRDG, outside a session."""
    version = answer_version(request)
    flags = Flag.AUTH | Flag.RECU | request.flags & (Flag.CACR | Flag.PUBL)
    return Message(request.op, code, int(flags), body, version=version, request_id=request.request_id, serial=1)


def challenge(request: Message, _: Message) -> Message:
    """A challenge where the reference server answers without one."""
    made = ordinary(request, 402, bytes((3,)) + request_digest(request, 3) + bstr(bytes(16)))
    return replace(made, flags=int(made.flags | Flag.RRDG), session_id=1)


def not_offered(request: Message, _: Message) -> Message:
    return ordinary(request, 5, bstr(f"Operation {request.op} is not offered"))


def as_of_2_10(_: Message, want: Message) -> Message:
    return replace(want, code=303, body=pair("prefix_referral_sug2.10")[1].body)


def as_of_0_na(_: Message, want: Message) -> Message:
    folded = pair("case_sensitive_read_0.NA_88.9999.1")[1]
    return replace(want, code=1, body=folded.body.replace(b"0.NA/", b"0.na/", 1))


PROOF_FIRST = "handle-protocol-proof-first-then-existence-then-right"
OWN_ID = "errors-carry-the-clients-own-request-id"
EXCEPTIONS = {
    "mask_create_existing_bit0": Difference(PROOF_FIRST, challenge),
    "case_sensitive_create_mixed_again": Difference(PROOF_FIRST, challenge),
    "wrongsecret_remove_missing_index#answer": Difference(PROOF_FIRST, coded(403)),
    "admin_case_suffix_case_admin#answer": Difference("administrators-are-compared-folded", coded(1, b"")),
    "prefix_referral_sug2.9": Difference("prefix-referrals-to-old-peers", as_of_2_10),
    "op_2000": Difference(OWN_ID, not_offered),
    "op_999": Difference(OWN_ID, not_offered),
    "op_2001": Difference(OWN_ID, challenge),
    "case_sensitive_read_0.na_88.9999.1": Difference("prefixes-fold-also-where-case-matters", as_of_0_na),
}


def test_every_exception_has_its_heading() -> None:
    """In docs/standards/divergences.md, and it names an exchange that there is."""
    assert {each.anchor for each in EXCEPTIONS.values()} <= anchors()
    assert set(EXCEPTIONS) <= {step for steps in STEPS.values() for step in steps}
    assert set(NOT_REPLAYED) | BY_RULE <= set(EXCHANGES)


# --- requests that were not recorded, and states ---

ORDER_MODIFY_DUP = change(Op.MODIFY_VALUES, Value(1, "URL", b"v"), Value(1, "URL", b"w"))
UNORDERED = "88.9999.1/UNORD"
OVERWRITE_UNORDERED = (
    Value(9, "A", b"9"),
    Value(2, "B", b"2b"),
    admin(100, member=301, handle=OPERATOR),
    Value(7, "N", b"n"),
)
MADE = {
    "order_delete_unhomed": Ask(Op.DELETE, bstr("99.1/NONE")),
    "order_modify_dup": ORDER_MODIFY_DUP,
    "both_bits_one_value": OPERATIONS["add_value_and_admin"],
    "combo_pubwrite_to_admin_210": OPERATIONS["modify_public_write_to_admin"],
    "combo_modify_value_and_admin_090": change(Op.MODIFY_VALUES, Value(1, "URL", b"v"), admin(100)),
    "admin_case_secret_admin_value": OPERATIONS["add_value"],
    "overwrite_unordered": change(Op.CREATE, *OVERWRITE_UNORDERED, overwrite=True, handle=UNORDERED),
    "case_sensitive_list1": Ask(Op.LIST_HANDLES, bstr("0.NA/88.9999.1")),
    "case_sensitive_delete_wrong_case": Ask(Op.DELETE, bstr("88.9999.1/mIXED")),
    "case_sensitive_create_mixed": Ask(Op.CREATE, pair("case_sensitive_create_mixed_again")[0].body),
    "create_v2.0": change(Op.CREATE, Value(1, "X", b"x"), handle="88.9999.1/V20"),
}
CHANGED = {
    "stored_order_after_add": (3,),
    "stored_order_after_overwrite": (2, 7),
    "read_after_modify_dup": (2,),
    "case_sensitive_read_mixed": (1,),
    "case_sensitive_read_prefix_lower": (1,),
    "case_sensitive_type_filter_case": (1,),
}
"""Values that earlier requests changed, so that their timestamps vary."""

FINISHED = {
    "case_sensitive_create_Mixed": 301,
    "case_sensitive_create_prefix88ab": 300,
    "modify_dup": 301,
}
"""Challenges whose answer was not recorded but was given, by which value of the operator's handle."""


def made(name: str) -> Ask:
    """The request of an exchange of which only the answer to the challenge was recorded."""
    kind, _, rest = name.partition("_")
    operation = rest.rpartition("_bit")[0] or rest
    if name in MADE:
        return MADE[name]
    return PREFIX_OPERATIONS[operation] if kind == "prefix" else OPERATIONS[operation]


def prepare(server: Bench, name: str) -> None:
    """Put the record that the exchange is about into the state that its name and note tell."""
    note = EXCHANGES[STEPS[name][0]]["note"]
    kind = name.partition("_")[0]
    if kind in ("mask", "anon", "wrongsecret", "order"):
        server.put_mask()
    elif kind == "vlist":
        server.put_mask(admin(100, member=500))
    elif name.startswith("both_bits_two"):
        server.put_mask(admin(100, 0x040, 412), admin(101, 0x200, 412))
    elif kind in ("both", "combo"):
        server.put_mask(admin(100, int(note.split("mask ")[1][:3] if "mask " in note else "240", 16), 412))
    elif name == "admin_index0_any_key":
        server.put_mask(admin(100, member=0))
    elif kind == "admin":
        handle, permissions = ("88.9999.1/adm" if "adm:" in note else ADM), note.split("permissions ")[1][0]
        server.put_mask(admin(100, member=412, handle=handle, permissions=int(permissions, 16)))
    elif kind == "prefix" and "referral" not in name:
        server.put_prefix_administrators()
        if "list_handles" in name:
            for handle in ("88.9999.2/C1", "88.9999.2/OW"):
                server.admin.delete(handle)
        if name == "prefix_create_derived_bit2":
            server.admin.delete("0.NA/88.9999.2.7")


def unordered() -> Values:
    """The record of the exchanges about stored order, as it was created."""
    stored = {each.index: each for each in decode_reply(pair("stored_order_after_add")[1]).values}
    return tuple(
        HandleValue(each.index, each.type, each.data, each.ttl, permissions=each.permissions, timestamp=each.timestamp)
        for each in (stored[index] for index in (9, 2, 5, 100))
    )


def templates() -> dict[str, Values]:
    """The prefix handles with their namespaces, and the bases."""
    found: dict[str, Values] = {}
    for name, each in TEMPLATES.items():
        if name not in NOT_REPLAYED:
            found[f"0.NA/{each['prefix']}"] = (HandleValue(1, "HS_NAMESPACE", each["namespace"].encode()),)
            found[each["base"]] = decode_values(BASE_VALUES)
    return found


# --- the nodes ---


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    records = reference_records() | {UNORDERED: unordered()} | templates()
    prefixes = {each["prefix"] for name, each in TEMPLATES.items() if name not in NOT_REPLAYED}
    with bench(tmp_path_factory.mktemp("more"), *sorted(prefixes), records=records) as made:
        yield made


@pytest.fixture(scope="module")
def cased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Where case matters; the records were written while it did not, so their keys are folded.

    The site of that run had other ports.
    """
    records = {handle.upper(): values for handle, values in (reference_records() | bulk(3)).items()}
    site = decode_reply(pair("case_sensitive_read_0.NA_88.9999.1")[1]).values[0].data
    records[OPERATOR] = (records[OPERATOR][0]._replace(data=site), *records[OPERATOR][1:])
    folder = tmp_path_factory.mktemp("cased")
    with bench(folder, "88.ab", records=records, set_up=False, handle__case_sensitive=True) as made:
        assert made.admin.delete("0.NA/88.ab").code == 1  # that run had not made it yet
        yield made


# --- replaying ---


def send(server: Bench, request: Message) -> Message:
    with Tcp("127.0.0.1", server.node.ready["handle"]) as line:
        return Message.decode(line.exchange(request.encode())[0])


def proof_of(server: Bench, recorded: Message, challenged: Reply, version: tuple[int, int]) -> bytes:
    """Body of an operation 200 by the identity and method of a recorded one, over our nonce."""
    octets = Reader(recorded.body)
    kind, handle, index, signed = octets.text(), octets.text(), octets.signed(), octets.bstr()
    if kind == "HS_PUBKEY":
        proof = server.root.prove(challenged.nonce, challenged.digest, version)
    else:
        secret = OPERATOR_SECRET if handle == OPERATOR else f"k{index - 400}".encode()
        proof = secret_key_proof(secret, challenged.nonce + challenged.digest, signed[0])
    return bstr(kind) + bstr(handle) + index.to_bytes(4, signed=True) + bstr(proof)


def require_recorded(step: str, request: Message, want: Message, got: Message) -> None:
    """The answer is the recorded one, or what the table of exceptions makes of it."""
    changed, exception = CHANGED.get(step, ()), EXCEPTIONS.get(step)
    if exception is None:
        assert differences(want, got, changed) == []
        return
    assert differences(want, got, changed), f"no exception is needed any more: {exception.anchor}"
    assert differences(exception.mend(request, want), got, changed) == []


@pytest.mark.parametrize("name", STEPS)
def test_the_reference_exchange_is_answered_the_same(request: pytest.FixtureRequest, name: str) -> None:
    """The request, and the answer to its challenge."""
    server: Bench = request.getfixturevalue("cased" if name.startswith("case_sensitive") else "folded")
    prepare(server, name)
    finals = [step for step in STEPS[name] if "#" in step]
    if name in EXCHANGES:
        asked, want = pair(name)
    else:
        ask, version = made(name), pair(finals[0])[0].version
        asked = Message(ask.op, 0, ask.flags, ask.body, version=version, suggested=version, request_id=77)
    answer = send(server, asked)
    require_signed(server.node, answer)
    if name in EXCHANGES:
        require_recorded(name, asked, want, answer)
    for step in finals:
        challenged, (recorded, final) = decode_reply(answer), pair(step)
        proof = proof_of(server, recorded, challenged, answer.version)
        if name.startswith("wrongsecret"):
            proof = proof[:-1] + bytes((proof[-1] ^ 1,))
        got = send(server, replace(recorded, session_id=answer.session_id, body=proof))
        require_recorded(step, asked, final, got)
    if name in FINISHED:
        secret = SecretKey(OPERATOR, 301, OPERATOR_SECRET)
        client = Client(server.line, server.root if FINISHED[name] == 300 else secret)
        assert client.answer(asked, decode_reply(answer)).code == 1


# --- in sessions whose keys nobody has any more ---


def in_session(server: Bench, **options: object) -> Client:
    secret = SecretKey(OPERATOR, 301, OPERATOR_SECRET)
    client = Client(server.line, secret, **options)  # type: ignore[arg-type]
    assert client.open_session().code == 1
    return client


def require_like(name: str, got: Message) -> None:
    """All fields but the ids of request and session are those of the recorded answer."""
    want = replace(pair(name)[1], session_id=got.session_id, request_id=got.request_id)
    assert comparable(want) == comparable(got)


def test_a_signed_answer_of_2_8_in_a_session(folded: Bench) -> None:
    """A clear read without a credential: HS_MAC over both suggested octets, counter 1."""
    client = in_session(folded, version=(2, 8), suggested=(2, 8))
    recorded = pair("hs_mac_answer_v2.8")[0]
    reply = client.raw(recorded.op, recorded.body, flags=recorded.flags, credential=b"")
    assert reply.proof == "HS_MAC"
    require_like("hs_mac_answer_v2.8", reply.answers[0])


@pytest.mark.parametrize("minor", range(4, 12))
def test_set_ups_and_answers_are_proven_in_every_version(folded: Bench, minor: int) -> None:
    """HS_SIGNED over the new id, HS_MAC over a read: by the layouts of each version, slips included."""
    key = private_key(folded.node, "server").public_key()
    client = Client(folded.line, version=(2, minor), suggested=(2, minor), server_key=key)
    assert client.open_session().proof == "HS_SIGNED"
    reply = client.resolve("88.9999.1/TEST1", certify=True, digest=True, credential=b"")
    assert (reply.code, reply.proof) == (1, "HS_MAC")


def test_a_session_whose_first_request_has_a_wrong_mac(folded: Bench) -> None:
    """Told after the challenge; and the session is not authenticated by it."""
    client = in_session(folded)
    request = client.prepare(Op.MODIFY_VALUES, change(Op.MODIFY_VALUES, Value(1, "URL", b"v")).body, flags=PLAIN)
    wrong = Credential.decode(request.credential)._replace(signature=bytes(32))
    folded.put_mask()
    request = replace(request, credential=wrong.encode())
    challenged = client.send(request)
    assert challenged.code == 402
    require_like("session_first_request_wrong_mac#answer", client.answer(request, challenged).answers[0])
    assert client.send(request).code == 402


def test_a_list_in_a_session(folded: Bench) -> None:
    """Counter 3 behind the challenge and the answer to it."""
    for handle in ("88.9999.2/OW", "88.9999.2/C1"):
        folded.admin.delete(handle)
    folded.put("0.NA/88.9999.2", [admin(100, member=301, handle=OPERATOR)])
    client = in_session(folded)
    assert client.create("88.9999.2/OW", [Value(1, "X", b"x")], flags=PLAIN).code == 1
    recorded = pair("session_105")[0]
    reply = client.raw(recorded.op, recorded.body, flags=PLAIN)
    assert reply.challenge is None
    require_like("session_105", reply.answers[0])


def test_an_anonymous_session(folded: Bench) -> None:
    """The recorded set-up: all but the id, and the server's own key in the group of the client."""
    asked, want = pair("session_setup_anonymous")
    require_same_set_up(want, send(folded, asked))
