"""A reference top node for tests, made and run by its commands, and a node that tells it what a test wants."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.signature import Signer, key_id
from node.topnode_front import MEDIA_TYPE
from node.topnode_keys import read_public_key
from sync import messages
from sync.digests import items_digest
from sync.envelope import ANSWER, QUESTION, open_envelope, seal
from sync.form import decode, encode
from sync.table import pack_row
from sync.tables import TABLES, values
from tests.kit.node import SALTERN, Reply, saltern

HOST = "127.0.0.1"
QUIET: dict[str, object] = {"http.port": 0, "handle.port": 0, "probe.period": 0}


class TopNode:
    """A top node in a folder; `with` runs it and ends it by SIGTERM."""

    def __init__(self, folder: Path, misbehave: str = "", **settings: object) -> None:
        self.folder = folder
        self.config = folder / "topnode.toml"
        self.misbehave = misbehave
        self.settings = QUIET | {k.replace("__", "."): v for k, v in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        if not self.config.exists():
            saltern("topnode", "init", str(folder))

    @property
    def public_key(self) -> bytes:
        return read_public_key(self.folder / "keys" / "top.pub")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ready['http']}"

    def start(self) -> Self:
        options = [option for key, value in self.settings.items() for option in ("--set", f"{key}={value}")]
        options += ["--misbehave", self.misbehave] if self.misbehave else []
        with (self.folder / "topnode.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*SALTERN, "topnode", "serve", "--config", str(self.config), *options],
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the top node did not start:\n{self.log()}")
        self.ready = json.loads(line)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return the exit code."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.process = None
        return code

    def log(self) -> str:
        return (self.folder / "topnode.log").read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        line = http.client.HTTPConnection(HOST, self.ready["http"], timeout=30)
        try:
            line.request(method, path, body, headers or {})
            response = line.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            line.close()

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a command on it."""
        return saltern("topnode", *arguments, "--config", str(self.config), check=check)


class Below:
    """A node below a top node: says what it is told to, signed by a key of its own."""

    def __init__(self, top: TopNode, prefix: str = "88.118") -> None:
        self.top, self.prefix = top, prefix
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.number = 0
        self.held: dict[str, int] = {}

    @property
    def node_id(self) -> str:
        return key_id(self.signer.public_key)

    def sealed(self, message: messages.Question) -> bytes:
        self.number += 1
        return seal(QUESTION, self.signer, self.number, key_id(self.top.public_key), encode(message))

    def post(self, octets: bytes) -> Reply:
        return self.top.ask("POST", "/upstream/v1", octets, {"Content-Type": MEDIA_TYPE})

    def say(self, message: messages.Question) -> Any:
        """Send a message once; return the answer. Errors: AssertionError for anything but an answer of the top node."""
        reply = self.post(self.sealed(message))
        assert (reply.status, reply.headers["Content-Type"]) == (200, MEDIA_TYPE), reply
        envelope = open_envelope(ANSWER, reply.body)
        assert (envelope.sender, envelope.number, envelope.to) == (self.top.public_key, self.number, self.node_id)
        return decode(envelope.payload)

    def connect(self) -> Any:
        return self.say(messages.Connect(self.prefix, (self.prefix,), "示例运营者", "Saltern test", "", ""))

    def tell(self, table: str, rows: Iterable[tuple[str, bytes | None]]) -> Any:
        """Send rows as changes."""
        after = self.held.get(table, 0)
        items = tuple(messages.Item(after + at, 0, key.encode(), row) for at, (key, row) in enumerate(rows, start=1))
        self.held[table] = after + len(items)
        return self.say(messages.Delta(table, after, self.held[table], items_digest(items), items))


def route(
    prefix: str, *addresses: tuple[str, str, int | None, int | None, int | None], state: int = 1
) -> tuple[str, bytes]:
    """Return key and row of T2 or T7."""
    row = values(TABLES["T2"], kind="Handle", prefix=prefix, addresses=list(addresses), hosting="hosted", state=state)
    return f"Handle/{prefix.upper()}", pack_row(row)


def at(port: int, http_port: int | None = None) -> tuple[str, str, int, int, int | None]:
    """Return an address of a route: this machine."""
    return ("IPv4", HOST, port, port, http_port)
