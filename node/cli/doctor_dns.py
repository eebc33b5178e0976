"""What ``saltern doctor`` says of zones of DNS: settings, the file of keys, secondaries that have not heard."""

from __future__ import annotations

from collections.abc import Iterator

from core import limits
from core.clock import Millis
from core.config import Config
from core.wire.dns_text import text_of
from node import wiring
from node.dns_settings import make_zones, require_dns
from node.notified import read_notified
from node.site import known_ports

_S = 1_000


def look_at_dns(config: Config, now_ms: Millis) -> Iterator[tuple[str, str, str]]:
    """Yield level, check and message; nothing where there is no zone. Errors: ConfigError."""
    ports = known_ports(config)
    require_dns(config, ports)
    zones = ", ".join(text_of(apex) for apex in make_zones(config, ports).apexes)
    notified = read_notified(wiring.run_folder(config)) if config.items("dns.secondaries") else None
    late = notified is not None and now_ms - notified.changed_ms > limits.NOTIFY_LATE_S * _S
    behind = [each for each in notified.heard if late and each.serial != notified.serial] if notified else []
    for each in behind:
        yield (
            "warning", "dns",
            f"{each.secondary} 未确认区 {each.zone} 的变化。"
            f"It has not acknowledged a change of {each.zone}: {each.fault}",
        )  # fmt: skip
    if zones and not behind:
        yield "ok", "dns", zones
