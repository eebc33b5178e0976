"""The secondaries of the zones, as ``dns.secondaries`` names them."""

from __future__ import annotations

from typing import Final, NamedTuple

from core import limits
from core.config import Config
from core.errors import ConfigError
from node.address import DNS_PORT, read_address

_SETTING: Final = "dns.secondaries"


class Secondary(NamedTuple):
    """Where a secondary listens."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}@{self.port}"


def parse_secondaries(config: Config) -> tuple[Secondary, ...]:
    """Return the secondaries of the configuration. Bounds: DNS_SECONDARIES_MAX. Errors: ConfigError that names one."""
    entries = config.items(_SETTING)
    if len(entries) > limits.DNS_SECONDARIES_MAX:
        raise ConfigError(
            f"{_SETTING}: 至多 {limits.DNS_SECONDARIES_MAX} 个。There may be {limits.DNS_SECONDARIES_MAX} at most",
            setting=_SETTING,
        )
    return tuple(dict.fromkeys(Secondary(*read_address(_SETTING, str(each), "@", DNS_PORT)) for each in entries))
