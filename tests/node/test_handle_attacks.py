"""What somebody between the parties, or anybody at all, may try on the Handle protocol: nothing comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.store.run_store import SESSION
from tests.kit.handle_client import Client
from tests.kit.handle_messages import Message, Op, Value, admin_data, bstr
from tests.kit.handle_node import administrator, client_of, dialogues_of, rsa_key, secret_key
from tests.kit.handle_proofs import SecretKey
from tests.kit.node import Node

PREFIX = "88.118.7"
GOOD = f"{PREFIX}/GOOD"
PRIVATE = 0b1100
NOW = 1


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("attacked") / "node", PREFIX) as made:
        values = [Value(1, "URL", b"https://a.example"), Value(4, "SECRET", b"hidden", permissions=PRIVATE)]
        client = client_of(made, "tcp", rsa_key(made))
        assert client.create(GOOD, [*values, administrator(made)]).code == 1
        yield made


def session_of(node: Node) -> Client:
    """A client in a session of its own, not proven yet."""
    client = client_of(node, "tcp", secret_key(node, 0x13))
    assert client.open_session().code == 1
    return client


@pytest.mark.parametrize("encrypt", [False, True])
def test_an_answer_that_is_sent_back_is_no_request(node: Node, encrypt: bool) -> None:
    """Both directions have one key: it must not take a counter of the session."""
    client = client_of(node, "tcp", secret_key(node, 0x13))
    assert client.open_session(encrypt=encrypt).code == 1
    reply = client.add_values(GOOD, [Value(9, "X", b"")], overwrite=True)
    assert reply.code == 1
    for (raw,) in (reply.challenge.raw, reply.raw):  # type: ignore[union-attr] # in a session the first is challenged
        back = client.transport.exchange(raw, more=lambda _: False)
        assert Message.decode(back[0], client.session).code == 4
    assert client.add_values(GOOD, [Value(9, "X", b"y")], overwrite=True).code == 1


def test_a_challenge_does_not_outlive_its_session(node: Node) -> None:
    """What was to be encrypted is not answered in clear once the key is gone."""
    client = session_of(node)
    asked = client.prepare(Op.RESOLVE, bstr(GOOD) + bytes(8), flags=0x38000000)
    challenge = client.send(asked)
    assert challenge.code == 402
    assert client.session is not None
    with dialogues_of(node) as store:
        store.take(SESSION, client.session.id.to_bytes(4), NOW)
    client.session, unsealed = None, client.session
    late = client_of(node, "tcp", secret_key(node, 0x13), check=False)
    answer = late.answer(asked, challenge, session_id=unsealed.id)
    assert answer.code == 500
    assert b"hidden" not in answer.raw[0]


def test_nobody_without_its_key_replaces_what_a_session_waits_for(node: Node) -> None:
    """A request without the MAC leaves the challenge of the one with it."""
    client = session_of(node)
    asked = client.prepare(Op.DELETE, bstr(f"{PREFIX}/NONE"))
    challenge = client.send(asked)
    assert challenge.code == 402
    assert client.session is not None
    other = client_of(node, "tcp", check=False)
    meddled = other.send(Message(Op.DELETE, body=bstr(GOOD), session_id=client.session.id, request_id=9))
    assert meddled.code == 502
    assert client.answer(asked, challenge).code == 100


def test_an_unreadable_answer_takes_no_challenge_away(node: Node) -> None:
    """Whoever guesses the id of a challenge cannot burn it."""
    client = client_of(node, "tcp", secret_key(node, 0x13))
    asked = client.prepare(Op.DELETE, bstr(f"{PREFIX}/NONE"))
    challenge = client.send(asked)
    other = client_of(node, "tcp", check=False)
    garbage = Message(Op.ANSWER_CHALLENGE, body=b"\xff" * 9, session_id=Message.decode(challenge.raw[0]).session_id)
    assert other.send(garbage).code == 4
    assert client.answer(asked, challenge).code == 100


@pytest.mark.parametrize("kind", ["HS_SECKEY", "HS_PUBKEY", "HS_VLIST", "HS_ADMIN"])
def test_public_write_makes_nobody_an_administrator(node: Node, kind: str) -> None:
    """HS_ADMIN names any index of the record: a key that anyone could write there would be his right."""
    handle = f"{PREFIX}/OPEN-{kind}"
    open_value = Value(1, "URL", b"x", permissions=0b1111)
    own = Value(100, "HS_ADMIN", admin_data(handle, 0, 0xFFF))
    assert client_of(node, "tcp", rsa_key(node)).create(handle, [open_value, own]).code == 1
    anyone = client_of(node, "tcp")
    assert anyone.modify_values(handle, [Value(1, "URL", b"y", permissions=0b1111)]).code == 1
    assert anyone.modify_values(handle, [Value(1, kind, b"mine", permissions=PRIVATE)]).code == 402
    assert client_of(node, "tcp", SecretKey(handle, 1, b"mine", 0x13)).delete(handle).code == 403


def test_a_key_that_was_replaced_proves_nothing_more(node: Node) -> None:
    """Nor does the session that it proved: it is challenged again, and the new key answers."""
    handle = f"{PREFIX}/KEYS"
    keys = [Value(7, "HS_SECKEY", b"before", permissions=PRIVATE), Value(100, "HS_ADMIN", admin_data(handle, 7))]
    owner = client_of(node, "tcp", rsa_key(node))
    assert owner.create(handle, [*keys, administrator(node)._replace(index=101)]).code == 1
    client = client_of(node, "tcp", SecretKey(handle, 7, b"before", 0x13))
    assert client.open_session().code == 1
    assert client.add_values(handle, [Value(1, "X", b"1")]).code == 1
    assert client.add_values(handle, [Value(2, "X", b"2")]).challenge is None
    assert owner.modify_values(handle, [keys[0]._replace(data=b"after")]).code == 1
    refused = client.add_values(handle, [Value(3, "X", b"3")])
    assert (refused.code, refused.challenge is None) == (403, False)
    client.auth = SecretKey(handle, 7, b"after", 0x13)
    assert client.add_values(handle, [Value(3, "X", b"3")]).code == 1
    assert client.add_values(handle, [Value(4, "X", b"4")]).challenge is None
