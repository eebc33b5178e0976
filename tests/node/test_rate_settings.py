"""The settings of the rate limits: what they take, what they refuse, and that they hold."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from core.config import Config, load
from core.errors import ConfigError
from node import serving, wiring
from resolver.ratelimit import shared_table


def config(folder: Path, *overrides: str) -> Config:
    """Return a configuration of these settings alone."""
    path = folder / "node.toml"
    path.touch()
    return load(path, overrides)


def test_this_machine_is_exempt_by_default(tmp_path: Path) -> None:
    """Loopback of both families."""
    assert wiring.rate_limit_exempt(config(tmp_path)) == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_networks_addresses_and_nothing_at_all_are_taken(tmp_path: Path) -> None:
    """An address is a network of one; an empty list exempts nobody."""
    some = config(tmp_path, 'resolver.rate_limit_exempt=["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::/0"]')
    assert [str(each) for each in wiring.rate_limit_exempt(some)] == [
        "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32", "::/0",
    ]  # fmt: skip
    assert wiring.rate_limit_exempt(config(tmp_path, "resolver.rate_limit_exempt=[]")) == ()


BAD = {
    "name": ('"platform.example"', "'platform.example' does not appear to be an IPv4 or IPv6 network"),
    "host bits": ('"10.0.0.1/8"', "10.0.0.1/8 has host bits set"),
    "too long": ('"10.0.0.0/33"', "'10.0.0.0/33' does not appear"),
    "empty": ('""', "'' does not appear"),
    "number": ("5", "5 is no IPv4 or IPv6 network"),
    "zone": ('"fe80::%eth0/64"', "'fe80::%eth0/64' is no IPv4 or IPv6 network"),
    "mapped": ('"::ffff:10.0.0.0/104"', "'::ffff:10.0.0.0/104': write it as an IPv4 network"),
}


@pytest.mark.parametrize(("entry", "reason"), BAD.values(), ids=BAD)
def test_a_wrong_entry_is_named_with_its_setting(tmp_path: Path, entry: str, reason: str) -> None:
    """Among right ones, before anything starts."""
    wrong = config(tmp_path, f'resolver.rate_limit_exempt=["10.0.0.0/8", {entry}]')
    with pytest.raises(ConfigError) as caught:
        wiring.rate_limit_exempt(wrong)
    assert caught.value.message.startswith(f"resolver.rate_limit_exempt: {reason}")
    assert caught.value.fields == {"setting": "resolver.rate_limit_exempt"}


def test_both_limits_are_what_the_settings_say(tmp_path: Path) -> None:
    """Each front by its own setting and table; the exempt are the same for both."""
    some = config(tmp_path, "http.rate_limit=1", "handle.rate_limit=0", 'resolver.rate_limit_exempt=["192.0.2.0/24"]')
    http = serving.rate_limit(some, "http", shared_table(), str)
    handle = serving.rate_limit(some, "handle", shared_table(), str)
    source, exempt = ip_address("203.0.113.1").packed, ip_address("192.0.2.1").packed
    assert [http.admits(source) for _ in range(2)] == [True, False]
    assert all(http.admits(exempt) and handle.admits(source) for _ in range(1_000))
