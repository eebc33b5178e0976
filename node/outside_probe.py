"""``saltern topnode probe``: a probe elsewhere. It asks the top node whom to ask, does so, and reports, each period."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from audit.note import NoteError, ed25519_key
from core import clock, limits
from core.errors import ConfigError, NodeError, Outcome, WireError
from core.outcomes import STATUSES
from core.signature import Signer
from core.upstream_url import read_upstream_url
from core.wire.jsontext import parse
from node.signing import read_private_key
from node.topnode_probing import ask
from sync.topnode.probe_plan import read_plan
from sync.topnode.reports import sign_report

_PATH: Final = "/probes/v1"
_OK: Final = STATUSES[Outcome.OK].http

Say = Callable[[dict[str, Any]], None]
"""Tells a person what happened."""


def probe_from_here(url: str, key_file: Path, name: str, *, rounds: int | None, ca: Path | None, say: Say) -> bool:
    """Probe for so many rounds, None: without end; return whether the last report was taken.

    Errors: ConfigError, WireError for a URL that is none.
    """
    place = f"{read_upstream_url(url)}{_PATH}"
    signer = Signer(read_private_key(key_file, "--key"))
    try:
        vkey = ed25519_key(name, signer.public_key).vkey
        tls = ssl.create_default_context(cafile=ca)
    except (NoteError, OSError) as error:
        raise ConfigError(f"{name}, {ca}: {error}") from None
    say({"name": name, "vkey": vkey})
    return asyncio.run(_probe(place, signer, name, rounds, tls, say))


async def _probe(  # noqa: PLR0917
    place: str, signer: Signer, name: str, rounds: int | None, tls: ssl.SSLContext, say: Say
) -> bool:  # fmt: skip
    done, taken = 0, False
    timeout = aiohttp.ClientTimeout(total=limits.UPSTREAM_TIMEOUT_S)
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
        while rounds is None or done < rounds:
            period_ms = limits.TOPNODE_PROBE_PERIOD_S * 1_000
            try:
                to, period_ms, limit_ms, targets = read_plan(await _exchange(session, "GET", place, None))
                at_ms = clock.now_ms()
                found = await ask(targets, 0, at_ms // period_ms, at_ms, limit_ms)
                report = sign_report(signer, name, to, clock.now_us(), found)
                told = await _exchange(session, "POST", place, report)
                say({"asked": len(found), "failed": sum(each.rtt_us is None for each in found)} | told)
                taken = "taken" in told
            except (NodeError, OSError, aiohttp.ClientError) as error:
                say({"error": str(error) or type(error).__name__})
                taken = False
            done += 1
            if done != rounds:
                await asyncio.sleep((period_ms - clock.now_ms() % period_ms) / 1_000)  # once in each period
    return taken


async def _exchange(session: aiohttp.ClientSession, method: str, place: str, body: bytes | None) -> dict[str, Any]:
    """Return a JSON object. Bounds: PROBE_REPORT_BYTES_MAX. Errors: WireError; OSError, ClientError of the line."""
    async with session.request(method, place, data=body, allow_redirects=False) as response:
        octets = await response.content.read(limits.PROBE_REPORT_BYTES_MAX)
        while not response.content.at_eof() and len(octets) < limits.PROBE_REPORT_BYTES_MAX:
            octets += await response.content.read(limits.PROBE_REPORT_BYTES_MAX)
        members = parse(octets) if response.content_type == "application/json" else None
        if not isinstance(members, dict) or (method == "GET" and response.status != _OK):
            raise WireError(f"顶级节点应答 {response.status}。The top node answers {response.status}")
        return members
