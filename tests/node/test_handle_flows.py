"""Whole flows of the Handle protocol on a running node: every way in, every proof, every version."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest

from core.store.run_store import CHALLENGE
from tests.kit.handle_client import Client
from tests.kit.handle_messages import Flag, Op, Reply, Value, Version, bstr
from tests.kit.handle_node import (
    administrator,
    assert_unharmed,
    client_of,
    dialogues_of,
    rsa_key,
    secret_key,
    transport_of,
)
from tests.kit.handle_proofs import Identity, SecretKey, secret_key_proof
from tests.kit.node import Node, admin_value

PREFIX, LISTED, MOVED = "88.118.7", "88.118.8", "88.118.9"
LIST_LENGTH: Final = 131
NUMBERS = count(1)
VERSIONS: tuple[Version, ...] = ((2, 1), (2, 4), (2, 7), (2, 10), (2, 11))
SESSIONS = ("no session", "clear", "encrypted")
MAC_METHODS = {
    "default": None,
    "MD5": 1,
    "SHA1": 2,
    "SHA256": 3,
    "HMAC-SHA1": 0x12,
    "HMAC-SHA256": 0x13,
    "PBKDF2": 0x22,
}
HASH_NAMES = {"RSA default": None, "RSA SHA-256": "SHA-256", "RSA SHA1": "SHA1", "RSA SHA-1": "SHA-1",
              "RSA SHA256": "SHA256", "RSA MD5": "MD5", "RSA code 3": "\3", "RSA code 2": "\2"}  # fmt: skip
IDENTITIES = (*MAC_METHODS, *HASH_NAMES)
URL, EMAIL = Value(1, "URL", b"https://a.example"), Value(2, "EMAIL", b"a@a.example")
PRIVATE = Value(3, "SECRET", b"private", permissions=0b1100)
ANYONES = Value(4, "NOTE", b"old", permissions=0b1111)


class Site:
    """Two nodes: of one worker, whose TCP connections are kept, and of four, each message by a new connection."""

    def __init__(self, one: Node, four: Node) -> None:
        self.nodes = {"one worker": one, "four workers": four}

    def client(self, workers: str, name: str, **options: Any) -> tuple[Node, Client]:
        node = self.nodes[workers]
        name = "kept" if name == "tcp" and workers == "one worker" else name
        client = client_of(node, name, **options)
        client.transport.source = f"127.0.7.{next(NUMBERS) % 250 + 1}"  # failures to log in count by source
        return node, client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("flows")
    settings: dict[str, Any] = {"handle__server_admins": [300, 301]}
    one = Node(folder / "one", PREFIX, LISTED, MOVED, **settings)
    four = Node(folder / "four", PREFIX, LISTED, MOVED, resolver__workers=4, **settings)
    with one, four:
        for node in (one, four):
            values = [{"index": 1, "type": "URL", "data": "x"}, admin_value(f"0.NA/{PREFIX}")]
            items = [{"handle": f"{LISTED}/L-{number:03}", "values": values} for number in range(LIST_LENGTH)]
            assert node.ask("POST", "/v1/records:batch", items, node.admin()).status == 200
        yield Site(one, four)
        for node in (one, four):
            assert_unharmed(node)


def identity_of(node: Node, name: str) -> Identity:
    return secret_key(node, MAC_METHODS[name]) if name in MAC_METHODS else rsa_key(node, HASH_NAMES[name])


def begin(client: Client, session: str) -> None:
    """Know the server's key, so that every signature is checked; open a session if there is to be one."""
    client.learn_server_key()
    if session != "no session":
        assert client.open_session(encrypt=session == "encrypted").code == 1


def possible(version: Version, session: str) -> bool:
    return version >= (2, 4) or session == "no session"


def assert_challenged_as_it_must(client: Client, reply: Reply) -> None:
    """Outside a session and below 2.7 each time, in a session that is proven never."""
    proven = client.session is not None and client.version >= (2, 7)
    assert (reply.challenge is None) == proven


def change_everything(node: Node, client: Client) -> None:
    """Create, read, add, overwrite, modify, remove, delete; and each of them where it must fail."""
    handle = f"{PREFIX}/流-{next(NUMBERS)}"
    created = client.create(handle, [URL, administrator(node)])
    assert (created.code, created.handle) == (1, handle)
    assert created.challenge is not None, "the first change of a session is challenged too"
    assert not created.flags & Flag.OVRW
    reply = client.create(handle, [URL, administrator(node)])
    assert reply.code == 101
    assert_challenged_as_it_must(client, reply)
    assert client.resolve(handle).values == client.resolve(handle.lower()).values != ()

    assert client.add_values(handle, [EMAIL, PRIVATE, ANYONES]).code == 1
    assert client.add_values(handle, [EMAIL]).code == 201
    assert client.add_values(handle, [EMAIL._replace(data=b"b")], overwrite=True).flags & Flag.OVRW
    assert client.modify_values(handle, [URL._replace(data=b"https://b.example")]).code == 1
    assert client.modify_values(handle, [URL._replace(index=99)]).code == 200
    public = client.resolve(handle, certify=True, digest=True)
    wanted = {1: b"https://b.example", 2: b"b", 4: b"old"}
    assert {value.index: value.data for value in public.values if value.index < 100} == wanted
    assert public.proof == ("HS_MAC" if client.session else "HS_SIGNED")

    private = client.resolve(handle, [3], public_only=False)
    assert [value.data for value in private.values] == [b"private"]
    assert_challenged_as_it_must(client, private)
    assert private.answers[0].encrypted == (client.session is not None)
    assert client.resolve(handle, [3]).code == 200

    assert client.remove_values(handle, [2, 3]).code == 1
    assert client.remove_values(handle, [2]).code == 200
    replaced = client.create(handle, [URL, administrator(node)], overwrite=True)
    assert (replaced.code, bool(replaced.flags & Flag.OVRW)) == (1, True)
    assert client.resolve(handle, types=["URL"]).values[0].data == URL.data
    assert [client.delete(handle).code for _ in range(2)] == [1, 100]
    assert client.resolve(handle).code == 100


def administer(node: Node, client: Client) -> None:
    """Mint, list, unhome, home, list what is homed, look at the server's state, log in, have a proof verified."""
    minted = client.create(f"{PREFIX}/MINT-", [URL, administrator(node)], mint=True)
    assert minted.code == 1
    assert re.fullmatch(
        rf"{re.escape(PREFIX)}/MINT-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}", minted.handle or ""
    )
    assert client.delete(str(minted.handle)).code == 1

    listed = client.list_handles(f"0.NA/{LISTED}")
    assert (listed.code, len(listed.answers)) == (1, 3)
    assert listed.handles == tuple(f"{LISTED}/L-{number:03}" for number in range(LIST_LENGTH))
    assert client.list_handles(LISTED).handles == listed.handles
    assert client.list_handles(f"{LISTED}/x").code == 102
    assert client.list_handles("0.NA/99.1").code == 301

    prefix = f"0.NA/{MOVED}"
    assert client.unhome(prefix).code == 1
    assert prefix not in client.list_homed().handles
    assert client.resolve(f"{MOVED}/x").code == 301
    assert client.home(prefix).code == 1
    assert prefix in client.list_homed().handles
    assert client.resolve(f"{MOVED}/x").code == 100
    assert client.home(f"0.NA/88.118.{100 + next(NUMBERS)}").code == 400  # allocated to nobody
    assert client.home(f"{PREFIX}/x").code == 102

    state = client.resolve("0.SITE/status", public_only=False)
    assert (state.code, state.values[0].type) == (1, "CNRI.SERVER_STATUS")
    assert client.resolve("0.SITE/status").code == 200

    own = f"0.NA/{PREFIX}"
    assert client.auth is not None
    index = client.auth.index
    assert client.raw(2001, bstr(own) + index.to_bytes(4)).code == 1
    assert client.raw(2001, bstr(own) + (index ^ 1).to_bytes(4)).code == 400
    nonce, digest = os.urandom(16), os.urandom(32)
    proof = secret_key_proof(node.secret.encode(), nonce + digest, 0x13)
    assert client.verify(own, 301, nonce, digest, proof).valid is True
    assert client.verify(own, 301, nonce, digest, proof[:-1] + b"x").valid is (proof[-1:] == b"x")
    assert client.verify(own, 300, nonce, digest, proof).valid is False
    assert client.verify("0.NA/99.1", 301, nonce, digest, proof).code == 301


def end(client: Client) -> None:
    if client.session is not None:
        assert client.close_session().code == 1


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("name", ["tcp", "http"])
@pytest.mark.parametrize("workers", ["one worker", "four workers"])
def test_everything_in_every_version(site: Site, workers: str, name: str, version: Version, session: str) -> None:
    """All operations: over TCP and HTTP, outside a session, in a clear and in an encrypted one."""
    node, client = site.client(workers, name, version=version, suggested=version)
    client.auth = secret_key(node)
    if not possible(version, session):
        assert client.open_session().code == 501
        return
    begin(client, session)
    change_everything(node, client)
    administer(node, client)
    end(client)


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("workers", ["one worker", "four workers"])
def test_changes_with_every_proof(site: Site, workers: str, identity: str, session: str) -> None:
    """Each MAC of a secret key, each name of a digest with an RSA key."""
    node, client = site.client(workers, "tcp")
    client.auth = identity_of(node, identity)
    begin(client, session)
    change_everything(node, client)
    end(client)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_proof_in_every_version(site: Site, version: Version, identity: str) -> None:
    """A right one is 100 for what is not there, a wrong one 403, whatever digest the version has."""
    node, client = site.client("one worker", "tcp", version=version, suggested=version)
    client.auth = identity_of(node, identity)
    assert client.delete(f"{PREFIX}/NONE").code == 100
    client.auth = identity_of(site.nodes["four workers"], identity)
    assert client.delete(f"{PREFIX}/NONE").code == 403


def test_a_peer_of_2_0_proves_itself_by_bare_md5(site: Site) -> None:
    """Its challenge has no algorithm, its answer no code."""
    for workers in site.nodes:
        node, client = site.client(workers, "tcp", version=(2, 0), suggested=(2, 0))
        client.auth = secret_key(node)
        begin(client, "no session")
        change_everything(node, client)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("workers", ["one worker", "four workers"])
def test_reads_by_udp(site: Site, workers: str, version: Version) -> None:
    """Public and private ones with their challenge, the site, a verification, a session; signed and digested."""
    node, client = site.client(workers, "tcp", version=version, suggested=version)
    client.auth = secret_key(node)
    client.learn_server_key()
    handle = f"{PREFIX}/UDP-{next(NUMBERS)}"
    assert client.create(handle, [URL, PRIVATE, administrator(node)]).code == 1
    client.transport = transport_of(node, "udp")
    for session in SESSIONS:
        if not possible(version, session):
            continue
        if session != "no session":
            assert client.open_session(encrypt=session == "encrypted").code == 1
        assert client.resolve(handle, types=["URL"], certify=True, digest=True).values[0].data == URL.data
        assert client.resolve(handle, [3], public_only=False).values[0].data == PRIVATE.data
        assert client.resolve(f"{handle}-NONE").code == 100
        assert client.get_site().code == 1
        assert client.verify(f"0.NA/{PREFIX}", 301, b"n", b"d", b"\1" + bytes(16)).valid is False
        assert client.delete(handle).code == 4
    client.session = None
    client.transport = transport_of(node, "tcp")
    assert client.delete(handle).code == 1


@pytest.mark.parametrize("name", ["tcp", "http"])
def test_values_that_anyone_may_write(site: Site, name: str) -> None:
    """Modified without a challenge by nobody in particular; beside one that is not, they are challenged."""
    for workers in site.nodes:
        node, client = site.client(workers, name)
        client.auth = secret_key(node, 0x13)
        handle = f"{PREFIX}/ANYONE-{next(NUMBERS)}"
        assert client.create(handle, [URL, ANYONES, administrator(node)]).code == 1
        client.auth = None
        assert client.modify_values(handle, [ANYONES._replace(data=b"new")]).code == 1
        assert client.resolve(handle, [4]).values[0].data == b"new"
        assert client.modify_values(handle, [ANYONES, URL]).code == 402
        assert client.modify_values(f"{handle}-NONE", [ANYONES]).code == 100


def test_who_is_nobody_changes_nothing(site: Site) -> None:
    """Every change and every list is challenged; wrong proof is 403, the right one of somebody else 400."""
    node, client = site.client("four workers", "tcp")
    handle, own = f"{PREFIX}/OWN-{next(NUMBERS)}", SecretKey(f"{PREFIX}/OTHER", 5, b"other", 0x13)
    client.auth = secret_key(node, 0x13)
    changed = URL._replace(data=b"https://evil.example")
    other = Value(5, "HS_SECKEY", own.secret, permissions=0b1100)
    assert client.create(handle, [URL, PRIVATE, administrator(node)]).code == 1
    assert client.create(own.handle, [other, administrator(node)], overwrite=True).code == 1
    for identity, code in ((None, 402), (secret_key(site.nodes["one worker"], 0x13), 403), (own, 400)):
        client.auth = identity
        replies = [
            client.create(f"{handle}-NEW", [URL]), client.delete(handle), client.add_values(handle, [EMAIL]),
            client.remove_values(handle, [1]), client.modify_values(handle, [changed]), client.home("0.NA/88.118.99"),
            client.unhome(f"0.NA/{PREFIX}"), client.list_handles(f"0.NA/{PREFIX}"), client.list_homed(),
            client.resolve(handle, public_only=False), client.resolve("0.SITE/status", public_only=False),
        ]  # fmt: skip
        assert [reply.code for reply in replies] == [code] * len(replies)
    assert client.resolve(handle).values[0].data == URL.data
    assert client.resolve(f"{handle}-NEW").code == 100


def test_a_session_goes_on_over_every_way_in(site: Site) -> None:
    """One session, each message by another transport and another connection to any of four workers."""
    node, client = site.client("four workers", "tcp")
    client.auth = secret_key(node, 0x13)
    begin(client, "encrypted")
    handle = f"{PREFIX}/WAYS-{next(NUMBERS)}"
    assert client.create(handle, [URL, PRIVATE, administrator(node)]).code == 1
    for number in range(40):
        client.transport = transport_of(node, ("tcp", "http", "udp")[number % 3])
        reply = client.resolve(handle, public_only=False)
        assert (reply.code, reply.challenge, len(reply.values)) == (1, None, 3)
    end(client)
    assert client.resolve(handle).code == 1


def test_a_session_that_ended_is_unknown(site: Site) -> None:
    """On each worker: 500 for a change with its id."""
    node, client = site.client("four workers", "tcp")
    client.auth = secret_key(node, 0x13)
    begin(client, "clear")
    assert client.delete(f"{PREFIX}/NONE").code == 100
    session = client.session
    assert client.close_session().code == 1
    client.session, client.checks = session, False
    assert [client.delete(f"{PREFIX}/NONE").code for _ in range(10)] == [500] * 10


def eventually_answers(node: Node) -> None:
    """The port is open all the while; a connection waits for the worker that comes."""
    assert client_of(node, "tcp").resolve(f"0.NA/{PREFIX}").code == 1


def test_without_sessions_the_plain_challenge_works(site: Site) -> None:
    """handle.sessions=false: a set-up is RC 5, and everything goes on with a challenge for each change."""
    node = Node(site.nodes["one worker"].folder.parent / "plain", PREFIX, LISTED, handle__sessions=False)
    with node:
        for name in ("kept", "tcp", "http", "udp"):
            reply = client_of(node, name).open_session((f"0.NA/{PREFIX}", 301))
            assert (reply.code, "handle.sessions" in reply.message) == (5, True)
        client = client_of(node, "kept", rsa_key(node))
        client.learn_server_key()
        assert client.open_session().code == 5
        change_everything(node, client)
        assert_unharmed(node)


def test_a_worker_that_is_killed_takes_no_dialogue_with_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGKILL between challenge and answer, and inside a session: the one that is started again goes on."""
    node = Node(tmp_path_factory.mktemp("killed") / "node", PREFIX)
    with node:
        client = client_of(node, "tcp", secret_key(node, 0x13))
        proven = client_of(node, "tcp", secret_key(node, 0x13))
        begin(proven, "encrypted")
        assert proven.delete(f"{PREFIX}/NONE").code == 100
        for name in ("tcp", "http", "udp"):
            client.transport = transport_of(node, "tcp" if name == "udp" else name)
            asked = client.prepare(Op.DELETE, bstr(f"{PREFIX}/NONE"))
            if name == "udp":  # a read, for changes are not taken by UDP
                client.transport = transport_of(node, name)
                asked = client.prepare(Op.RESOLVE, bstr("0.SITE/status") + bytes(8), flags=int(Flag.RECU))
            challenge = client.send(asked)
            assert challenge.code == 402
            os.kill(node.children()["worker-0"], signal.SIGKILL)
            eventually_answers(node)
            assert client.answer(asked, challenge).code == (400 if name == "udp" else 100)
            assert client.answer(asked, challenge).code == 500
            reply = proven.delete(f"{PREFIX}/NONE")
            assert (reply.code, reply.challenge) == (100, None)
        with dialogues_of(node) as store:
            assert store.count(CHALLENGE) == 0
        assert_unharmed(node)
