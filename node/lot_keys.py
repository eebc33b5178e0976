"""The master keys of unit codes, as a process keeps them: read once, and again for a key that it does not know."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from core import limits
from core.errors import ConfigError, SealError
from core.keyring import KeyRing
from core.lotkeys import NONCE_BYTES

_LOG = logging.getLogger("saltern.lots")


class LotKeys:
    """See CurrentKeys. ``load`` reads the key file, which may have a new key by now; ``now_s``: a steady clock.

    A file that lacks a key, or cannot be read, is read again after LOT_KEYS_RETRY_S.
    """

    def __init__(
        self,
        load: Callable[[], KeyRing],
        now_s: Callable[[], float],
        make_nonce: Callable[[], bytes] = lambda: secrets.token_bytes(NONCE_BYTES),
    ) -> None:
        self._load = load
        self._now_s = now_s
        self.make_nonce = make_nonce
        self._ring = KeyRing(0, {})
        self._not_before = 0.0

    def master(self, key_id: int) -> bytes:
        """Return a master key. Errors: SealError if the file cannot be read, or does not hold it."""
        key = self._ring.keys.get(key_id)
        if key is None and self._now_s() >= self._not_before:
            try:
                self._ring = self._load()
            except ConfigError as error:  # it names a path, which is no business of whoever asks for a bag
                _LOG.error("%s", error.message)
            key = self._ring.keys.get(key_id)
            if key is None:
                self._not_before = self._now_s() + limits.LOT_KEYS_RETRY_S
        if key is None:
            raise SealError(
                f"lots.keys: 缺少第 {key_id} 号主密钥，其批次的单元码无法识别。"
                f"Master key {key_id} is not in the file: no unit code of its lots can be read"
            )
        return key

    def current(self) -> int:
        """Return the id of the key that new lots are made with. Errors: ConfigError if the file cannot be read."""
        self._ring = self._load()
        return self._ring.current
