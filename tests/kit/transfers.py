"""Transfer files made in a test: exported by an office, altered and signed again, and imported by another one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.ident.handle import check_prefix
from core.lotkeys import NO_MASTER_KEYS
from core.signature import Signer
from core.wire.transferfile import Digester, decode_trailer, encode_trailer
from registry.commands import Actor, ImportLines, ImportPrefix, Result
from registry.transfer_file import TransferCheck, Whole, export_lines
from registry.transfer_head import Origin
from tests.kit.governance import DORA, RULES, Office

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the exporter of tests").digest()))
KEY = hashlib.sha256(SIGNER.public_key).hexdigest()[:32]
HEADS = ("header", "application", "party", "prefix-handle")


def export(office: Office, prefix: str, signer: Signer = SIGNER) -> list[bytes]:
    """Return the lines of the export of a prefix."""
    origin = Origin("88.118", "Saltern of tests", office.now // 1_000)
    with office.store.snapshot() as snapshot:
        keys = office.registry.lot_keys or NO_MASTER_KEYS
        return list(export_lines(snapshot, check_prefix(prefix, RULES), origin, signer, keys))


def kind_of(line: bytes) -> str:
    """Return the kind of a line."""
    return str(json.loads(line)["kind"])


def altered(lines: Sequence[bytes], kind: str, change: Callable[[dict[str, Any]], Any]) -> list[bytes]:
    """Return the lines after one member or more of the first line of a kind was changed."""
    result, done = [], False
    for line in lines:
        document = json.loads(line)
        if document["kind"] == kind and not done:
            change(document)
            line, done = json.dumps(document, ensure_ascii=False).encode() + b"\n", True
        result.append(line)
    assert done, kind
    return result


def signed(lines: Iterable[bytes], signer: Signer = SIGNER) -> list[bytes]:
    """Return the lines with another last line, signed as they are now."""
    digester, counts, kept = Digester(), Counter[str](), []
    for line in lines:
        kind = kind_of(line)
        if kind != "trailer":
            digester.feed(line, head=kind in HEADS)
            counts[kind] += 1
            kept.append(line)
    return [*kept, encode_trailer(signer, dict(counts), digester.digests())]


def check(lines: Iterable[bytes]) -> Whole:
    """Check a whole file. Errors: NodeError."""
    checking = TransferCheck(RULES)
    for line in lines:
        checking.feed(line)
    return checking.end()


def begin(lines: Sequence[bytes]) -> ImportPrefix:
    """Return the command that begins or ends an import, of a file that may be anything."""
    head = b"".join(line for line in lines if kind_of(line) in HEADS)
    digests = decode_trailer(lines[-1]).digests
    return ImportPrefix(json.loads(lines[0])["prefix"], head, lines[-1], digests.whole)


def bodies(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines of the body."""
    return [line for line in lines if kind_of(line) not in (*HEADS, "trailer")]


def take_over(office: Office, lines: Sequence[bytes], actor: Actor = DORA, chunk: int = 7) -> Result:
    """Import a file; return how that ended, or what refused it first."""
    command, body = begin(lines), bodies(lines)
    result = office.ask(command, actor)
    while result.done and not json.loads(result.body)["ended"]:
        at = json.loads(result.body)["done"]
        if at == len(body):
            return office.ask(command, actor)
        result = office.ask(ImportLines(command.prefix, at, b"".join(body[at : at + chunk])), actor)
        if result.done:
            result = result._replace(body=json.dumps(json.loads(result.body) | {"ended": False}).encode())
    return result
