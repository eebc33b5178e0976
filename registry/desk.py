"""What every act of governance is decided with: one request, over what its group has staged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import ConfigError, Outcome, RecordError, SealError, WireError
from core.ident.handle import HandleRules, PrefixKey
from core.keyring import KeyRing
from core.lotkeys import CurrentKeys
from core.party.rules import Fault
from core.party.seal import unseal
from core.signature import Signer
from core.store.engine import Table
from core.store.party_rows import PartyRow, unpack_party
from core.who import Role, Who
from core.wire.jsontext import parse
from registry.commands import Result
from registry.incident_report import Reporting
from registry.policy import Policy
from registry.refusals import refusal
from registry.staging import Staging
from registry.standing import Standing
from registry.verification import Method

_DIGEST_BYTES: Final = 32


class Seals(NamedTuple):
    """What seals identity fields. ``load_keys`` reads the key file, which may have a new key by now."""

    load_keys: Callable[[], KeyRing]
    make_nonce: Callable[[], bytes]


class Desk(NamedTuple):
    """One request's surroundings. ``home``: stages the row of a prefix, None to unhome it; it may refuse that."""

    staging: Staging
    standing: Standing
    now_ms: Millis
    rules: HandleRules
    policy: Policy
    methods: Mapping[str, Method]
    seals: Seals | None
    home: Callable[[PrefixKey, bytes | None], None]
    operators: Sequence[tuple[bytes, int]]
    load_signer: Callable[[], Signer] | None
    reporting: Reporting
    lot_keys: CurrentKeys | None

    @property
    def who(self) -> Who:
        """Who asks."""
        return self.standing.who

    def party(self, name: str) -> PartyRow:
        """Return a party. Errors: NodeError; of an enterprise that asks for another one before that is looked for."""
        self.require_own(name)
        row = self.staging.get(Table.PARTIES, name.encode())
        if row is None:
            raise refusal("party-not-found", Outcome.NOT_FOUND, party=repr(name[:40]))
        return unpack_party(row)

    def require_own(self, party: str) -> None:
        """Errors: NodeError if an enterprise asks for another party."""
        if self.standing.role is Role.ENTERPRISE and self.standing.party != party:
            raise refusal("own-party")

    def keys(self) -> Seals:
        """Return what seals. Errors: ConfigError if there is no key file."""
        if self.seals is None:
            raise ConfigError("party.keys: 未指定密钥文件。No key file is named")
        return self.seals

    def signer(self) -> Signer:
        """Return what signs for this node. Errors: ConfigError if there is no key."""
        if self.load_signer is None:
            raise ConfigError("node.signing_key: 未指定签名密钥。No signing key is named")
        return self.load_signer()


def open_values(seals: Seals, name: str, row: PartyRow) -> dict[str, Any]:
    """Return all subject data of a party, identity fields opened. Errors: RecordError(INTERNAL) for an altered one."""
    ring = seals.load_keys()
    values: dict[str, Any] = dict(row.plain)
    for field, sealed in row.sealed.items():
        try:
            values[field] = unseal(ring, sealed, name, field)
        except SealError as error:
            raise cannot_open(name, error) from None
    return values


def cannot_open(name: str, error: SealError) -> RecordError:
    """Return what is told where a sealed field cannot be opened."""
    return RecordError(f"{name}: {error.message} ({error.fields.get('field')})", outcome=Outcome.INTERNAL)


def read_form(octets: bytes) -> Any:
    """Return the JSON of a form. Errors: NodeError(MALFORMED)."""
    try:
        return parse(octets)
    except WireError as error:
        raise refusal("json", Outcome.MALFORMED, error=error.message) from None


def require_reason(text: str) -> str:
    """Return a reason as it is kept. Errors: NodeError if there is none, or a too long one."""
    reason = text.strip()
    if not 0 < len(reason) <= limits.REASON_CHARS_MAX or not reason.replace("\n", " ").isprintable():
        raise refusal("reason", Outcome.INVALID_VALUE, chars=limits.REASON_CHARS_MAX)
    return reason


def require_digest(evidence: bytes, document: bytes = b"") -> bytes:
    """Return the SHA-256 of evidence, of the document where there is one. Errors: NodeError for what is no digest."""
    known = hashlib.sha256(document).digest() if document else evidence
    if len(evidence) not in (0, _DIGEST_BYTES) or (evidence and evidence != known):
        raise refusal("evidence-digest", Outcome.INVALID_VALUE)
    return known


def with_filer(known: tuple[Who, ...], who: Who) -> tuple[Who, ...]:
    """Return who has filed something, and one more: none of them reviews it. Errors: NodeError for too many."""
    if who in known:
        return known
    if len(known) >= limits.FILERS_MAX:
        raise refusal("filers", Outcome.CONFLICT, people=limits.FILERS_MAX)
    return (*known, who)


def told(name: str, outcome: Outcome, document: dict[str, Any]) -> Result:
    """Return a result with a JSON body."""
    return Result(outcome, name, body=dump(document))


def refused_form(name: str, faults: Sequence[Fault], warnings: Sequence[Fault] = ()) -> Result:
    """Return the refusal of a form, with all that is wrong with it."""
    error = refusal("form", Outcome.INVALID_VALUE, count=len(faults))
    body = dump({"faults": dump_faults(faults), "warnings": dump_faults(warnings)})
    return Result(Outcome.INVALID_VALUE, name, error.message, body, rule="form")


def dump(document: dict[str, Any]) -> bytes:
    """Return JSON."""
    return json.dumps(document, ensure_ascii=False).encode()


def dump_faults(faults: Sequence[Fault]) -> list[dict[str, str]]:
    """Return faults as JSON has them."""
    return [fault._asdict() for fault in faults]
