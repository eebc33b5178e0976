"""The key of a lot's unit codes: derived from a master key, or brought along from another node and sealed.

Sealed: nonce (12 octets), then AES-256-GCM of the key and its tag (16), under the master key that the lot names,
bound to ``saltern lot key`` and the lot. The nonce is the caller's, new for every sealing.
"""

from __future__ import annotations

import hmac
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import SealError
from core.ident.unitcode import LOT_KEY_BYTES, UnitCodes, derive_lot_key
from core.store.lot_rows import LotRow

NONCE_BYTES: Final = 12
SEALED_BYTES: Final = NONCE_BYTES + LOT_KEY_BYTES + 16
"""Of a lot's key as it is kept."""
_PURPOSE: Final = b"saltern lot key\0"


class MasterKeys(Protocol):
    """The master keys of unit codes."""

    def master(self, key_id: int) -> bytes:
        """Return a master key, 32 octets. Errors: SealError if it is not there."""


class CurrentKeys(MasterKeys, Protocol):
    """Master keys, which of them new lots are made with, and what a key that came from elsewhere is sealed with."""

    def current(self) -> int:
        """Return the id of the newest. Errors: ConfigError if there is none."""

    def make_nonce(self) -> bytes:
        """Return NONCE_BYTES octets that were never returned before."""


class _NoKeys:
    """See MasterKeys. Knows none."""

    def master(self, key_id: int) -> bytes:
        raise SealError(f"there is no master key {key_id}")


NO_MASTER_KEYS: Final = _NoKeys()


def key_of_lot(keys: MasterKeys, lot: bytes, row: LotRow) -> bytes:
    """Return a lot's key. ``lot``: key of its handle. Errors: SealError if the master key is not there, or is wrong."""
    master = keys.master(row.key_id)
    if row.sealed_key:
        return _unseal(master, lot, row.sealed_key)
    prefix, _, code = lot.partition(b"/")
    return derive_lot_key(master, prefix, code, row.key_id)


def codes_of_lot(keys: MasterKeys, lot: bytes, row: LotRow) -> UnitCodes:
    """Return what makes and reads a lot's serials. Errors: SealError, also for a master key that is another one.

    A wrong key would find all codes of the lot false: it is told, and never used.
    """
    codes = UnitCodes(key_of_lot(keys, lot, row))
    if not hmac.compare_digest(codes.check_value(), row.check):
        raise SealError(
            f"lots.keys: 第 {row.key_id} 号主密钥不是批次 {lot.decode()} 所用的那一个，请恢复原密钥文件。"
            f"Master key {row.key_id} is not the one that {lot.decode()} was made with: put the former file back"
        )
    return codes


def seal_lot_key(master: bytes, nonce: bytes, lot: bytes, lot_key: bytes) -> bytes:
    """Return a lot's key as it is kept. Errors: ValueError for a nonce that has not NONCE_BYTES octets."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce of {len(nonce)} octets")
    return nonce + AESGCM(master).encrypt(nonce, lot_key, _PURPOSE + lot)


def _unseal(master: bytes, lot: bytes, sealed: bytes) -> bytes:
    try:
        return AESGCM(master).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _PURPOSE + lot)
    except (InvalidTag, ValueError):
        raise SealError(
            f"{lot.decode()}: the key of this lot does not open: altered, or its master key is another one"
        ) from None
