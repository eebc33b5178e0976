"""The keys of other nodes whose exports this one takes over: ``prefix.import_keys``."""

from __future__ import annotations

import re
from typing import Final

from core import limits
from core.config import Config
from core.errors import ConfigError
from core.signature import KEY_ID_DIGITS

_SETTING: Final = "prefix.import_keys"
_KEY_ID: Final = re.compile(rf"[0-9a-f]{{{KEY_ID_DIGITS}}}", re.ASCII)


def import_keys(config: Config) -> frozenset[str]:
    """Return the ids of the keys. Bounds: IMPORT_KEYS_MAX. Errors: ConfigError that names the entry."""
    entries = config.items(_SETTING)
    if len(entries) > limits.IMPORT_KEYS_MAX:
        raise ConfigError(f"{_SETTING}: more than {limits.IMPORT_KEYS_MAX} keys", setting=_SETTING)
    for entry in entries:
        if not isinstance(entry, str) or not _KEY_ID.fullmatch(entry):
            raise ConfigError(
                f"{_SETTING}: {entry!r} 不是密钥编号。"
                f"{entry!r} is no id of a key: {KEY_ID_DIGITS} hexadecimal digits, in quotes",
                setting=_SETTING,
            )
    return frozenset(map(str, entries))
