"""The management API without a node: a registrar on an engine in memory, and everybody who may ask it."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from core.admission import Identity
from core.clock import Millis
from core.ident.handle import HandleRules
from core.keyring import KeyRing
from core.store.memory_engine import MemoryEngine
from core.wire.http import Request as HttpRequest
from core.wire.http import Response
from registry.commands import Actor, Command, Home, IssueBearer, Request, Result
from registry.desk import Seals
from registry.http_api import ManagementApi
from registry.protocol import decode_request, decode_result, encode_request, encode_result
from registry.service import Registry
from tests.kit.governance import LOT_KEYS, SIGNER

FORMS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
NOW = Millis(1_790_000_000_000)
DIGEST = "ab" * 32
RING = KeyRing(1, {1: bytes(32)})
SEALS = Seals(lambda: RING, lambda: os.urandom(12))
RULES = HandleRules()
ADMIN = Identity("0.NA/88.118", 301)
ADMINS = frozenset(((RULES.key(ADMIN.handle), ADMIN.value_index),))
HEADERS = {"content-type": "application/json"}


def person(name: str) -> Actor:
    """Somebody at this machine."""
    return Actor(local=True, name=name, uid=len(name))


class Answer(NamedTuple):
    """What the API answered."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def rule(self) -> str:
        return self.json.get("rule", "")


class Desk:
    """A registrar and the API before it, on one engine; ``now`` may be moved."""

    def __init__(self, store: MemoryEngine | None = None) -> None:
        self.store = MemoryEngine() if store is None else store
        self.now = NOW
        self.registry = Registry(
            self.store, RULES, server_admins=ADMINS, seals=SEALS, founding=True, load_signer=lambda: SIGNER,
            lot_keys=LOT_KEYS,
        )  # fmt: skip
        self.api = ManagementApi(
            RULES, self.store, self, root=False, server_admins=ADMINS, now_ms=lambda: self.now, keys=LOT_KEYS,
        )  # fmt: skip
        if store is None:
            self.done(Home("88.118"))

    def copy(self) -> Desk:
        """Return another one in the same state."""
        other = MemoryEngine()
        other._state = self.store._state  # a state is never changed once it is published
        return Desk(other)

    def run(self, command: Command, actor: Actor) -> Result:
        """Have a command run, by the frames that go to the registrar."""
        request = decode_request(encode_request(1, Request(command, actor))[4:])[1]
        if actor.local:
            request = request._replace(actor=actor)
        (result,) = self.registry.run([request], self.now)
        return decode_result(encode_result(1, result)[4:])[1]

    async def call(self, request: Request) -> Result:
        """See Registrar."""
        (result,) = self.registry.run([decode_request(encode_request(1, request)[4:])[1]], self.now)
        return result

    def done(self, command: Command, actor: Actor = Actor(local=True, name="经办人", uid=1)) -> Any:  # noqa: B008
        """Have a command run that succeeds; return what is told of it."""
        result = self.run(command, actor)
        assert result.done, result
        return json.loads(result.body) if result.body else None

    def token(self, role: str, holder: str, party: str = "", days: int = 1) -> Actor:
        """Issue a token; return who has it."""
        return Actor(bearer=self.done(IssueBearer(role, holder, party, days))["token"])

    def ask(
        self, method: str, path: str, body: object = None, *, by: Actor = Actor(), headers: dict[str, str] | None = None  # noqa: B008
    ) -> Answer:  # fmt: skip
        """Make a call as somebody."""
        path, _, query = path.partition("?")
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(
            method, path, query, HEADERS if headers is None else headers, sent, credentials_safe=True,
            identity=by.identity, bearer=by.bearer,
        )  # fmt: skip
        response: Response = asyncio.run(self.api.answer(request))
        return Answer(response.status, dict(response.headers), json.loads(response.body))
