"""Tokens for emergency registration at the top node: one file each in ``data/emergency``, named by the token's id.

A token reads ``saltern_<id>_<secret>``, as a bearer token of a node (``core/store/bearer_rows.py``). The file is JSON
{"node", "prefix", "name", "digest", "issued_ms", "expires_ms"}; the secret has 256 random bits, and its SHA-256 is all
that is kept of it. Command line and server share the folder: a file is there whole, or not.
"""

from __future__ import annotations

import hmac
import json
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from audit.files import Files
from core import limits
from core.clock import Millis
from core.errors import ConfigError
from core.store.bearer_rows import format_bearer, parse_bearer

EMERGENCY: Final = "emergency"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_DAY_MS: Final = 86_400_000
_NO_DIGEST: Final = bytes(32)


class EmergencyToken(NamedTuple):
    """What a token is good for. ``prefix``: folded; ``name``: for whom it was made."""

    token: str
    node: str
    prefix: str
    name: str
    digest: bytes
    issued_ms: Millis
    expires_ms: Millis


class EmergencyTokens:
    """The tokens of a top node. ``data``: its folder. Errors: OSError."""

    def __init__(self, data: Path) -> None:
        self._folder = data / EMERGENCY
        self._files = Files()

    def issue(self, node: str, prefix: str, name: str, now_ms: Millis) -> tuple[EmergencyToken, str]:
        """Make a token; return it, and its text, which is shown once. Errors: ConfigError for too many."""
        self._files.make_folder(self._folder, 0o700)
        for path in list(self._folder.glob("*.json")):
            known = self._read(path.stem)
            if known is None or known.expires_ms <= now_ms:
                path.unlink(missing_ok=True)
        if sum(1 for _ in self._folder.glob("*.json")) >= limits.EMERGENCY_TOKENS_MAX:
            raise ConfigError(f"令牌过多。There are {limits.EMERGENCY_TOKENS_MAX} tokens already; revoke some")
        token, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        expires_ms = Millis(now_ms + limits.EMERGENCY_TOKEN_DAYS * _DAY_MS)
        made = EmergencyToken(token, node, prefix, name, sha256(secret.encode()).digest(), now_ms, expires_ms)
        document = {**made._asdict(), "digest": made.digest.hex()}
        self._files.replace(self._folder / f"{token}.json", json.dumps(document, ensure_ascii=False).encode())
        self._files.sync_folder(self._folder)
        return made, format_bearer(token, secret)

    def revoke(self, token: str) -> bool:
        """End a token; return whether there was one."""
        if not token.isascii() or not token.isalnum():
            return False
        try:
            (self._folder / f"{token}.json").unlink()
        except FileNotFoundError:
            return False
        self._files.sync_folder(self._folder)
        return True

    def listed(self) -> list[EmergencyToken]:
        """Return the tokens, in the order of their ids."""
        found = (self._read(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [each for each in found if each is not None]

    def proven(self, text: str, now_ms: Millis) -> EmergencyToken | None:
        """Return the token that a text proves, None for any other. Time: the same for a wrong secret and no token."""
        presented = parse_bearer(text.strip())
        if presented is None:
            return None
        known = self._read(presented.name)
        right = hmac.compare_digest(presented.digest, _NO_DIGEST if known is None else known.digest)
        return known if known is not None and right and now_ms < known.expires_ms else None

    def _read(self, token: str) -> EmergencyToken | None:
        try:
            told = json.loads((self._folder / f"{token}.json").read_bytes())
            return EmergencyToken(**{**told, "digest": bytes.fromhex(told["digest"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def claim_of_token(text: str) -> str:
    """Return under which name a wrong token is counted; empty for what tests no secret."""
    presented = parse_bearer(text.strip())
    return "" if presented is None else f"emergency {presented.name}"
