"""GS1 keys of others, over HTTP: a resolver on loopback, and all that it and its redirects may do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from aiohttp import web

from core import limits
from core.errors import Outcome, WireError
from core.upstream_url import read_upstream_url
from node.recursion.keys import KeyAsker
from resolver.recursion.found import Found, NoAnswerError
from tests.kit.elsewhere import LOOPBACK, PUBLIC, name_server, web_server

PATH = "/01/06901234567892"
LINKSET = {"linkset": [{"anchor": "x", "https://ref.gs1.org/voc/pip": [{"href": "https://x.example/p", "title": "t"}]}]}
KIND = "application/linkset+json"
NAMES = """
$ORIGIN example.
@ 3600 IN SOA ns hostmaster 1 3600 600 86400 120
@ 3600 IN NS ns
in 60 IN A 127.0.0.1
both 60 IN A 192.168.7.7
both 60 IN A 127.0.0.1
six 60 IN AAAA ::1
mapped 60 IN AAAA ::ffff:127.0.0.1
alias 60 IN CNAME in
"""
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def linkset(cache: str = "max-age=500") -> web.Response:
    return web.json_response(LINKSET, content_type=KIND, headers={"Cache-Control": cache})


def ask(answer: Answer, policy: Any = LOOPBACK, path: str = PATH, stem: str = "") -> Found:
    """Ask a web server that answers so, in a loop as a worker's."""

    async def run() -> Found:
        async with web_server(answer) as base:
            asker = KeyAsker(read_upstream_url(base + stem), policy)
            try:
                return await asker.ask(path)
            finally:
                await asker.close()

    return uvloop.run(run())


def refused(answer: Answer, policy: Any = LOOPBACK) -> str:
    with pytest.raises((NoAnswerError, WireError)) as error:
        ask(answer, policy)
    return error.value.message


def redirect(*to: str, status: int = 307) -> Answer:
    """Return what redirects to each place in its turn, and then answers."""
    left = list(to)

    async def answer(request: web.Request) -> web.StreamResponse:
        if not left:
            return linkset()
        return web.Response(status=status, headers={"Location": left.pop(0)})

    return answer


def test_the_linkset_of_a_key_is_asked_for() -> None:
    """As a GS1 resolver wants it; without cookies of an earlier answer; the base may have a path."""
    seen: list[tuple[str, str, str | None]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers["Accept"], request.headers.get("Cookie")))
        if len(seen) == 1:
            return web.Response(status=302, headers={"Location": "/moved?linkType=linkset", "Set-Cookie": "a=b"})
        return linkset()

    found = ask(answer, path="/01/06901234567892/10/A%2FB", stem="/gs1")
    assert (found.outcome, found.ttl_s, len(found.asked)) == (Outcome.OK, 500, 2)
    assert [link.href for link in found.links or ()] == ["https://x.example/p"]
    assert seen[0][0] == "/gs1/01/06901234567892/10/A%2FB?linkType=linkset"
    assert seen[1] == ("/moved?linkType=linkset", seen[0][1], None)
    assert seen[0][1].startswith(KIND)


@pytest.mark.parametrize(
    ("cache", "ttl_s"),
    [
        ("", limits.RECURSION_UNSAID_S), ("no-store", 0), ("private, max-age=10", 0), ("public, max-age=10", 10),
        ("max-age=99999999", limits.RECURSION_TTL_S_MAX), ("max-age=x", limits.RECURSION_UNSAID_S),
    ],
)  # fmt: skip
def test_an_answer_holds_as_long_as_it_says(cache: str, ttl_s: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return linkset(cache)

    assert ask(answer).ttl_s == ttl_s


@pytest.mark.parametrize("status", [404, 410])
def test_that_there_is_none_is_an_answer(status: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    assert ask(answer)[:2] == (Outcome.HANDLE_NOT_FOUND, limits.RECURSION_UNSAID_S)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_kind_of_redirect_is_followed(status: int) -> None:
    assert ask(redirect("/other", status=status)).outcome is Outcome.OK


def test_redirects_end() -> None:
    """In a loop, and where each one leads further."""
    assert "lead back" in refused(redirect("/a", "/b", "/a"))
    steps = [f"/{at}" for at in range(limits.RECURSION_DEPTH_MAX + 1)]
    assert ask(redirect(*steps[:-1])).outcome is Outcome.OK
    assert "too many" in refused(redirect(*steps))


@pytest.mark.parametrize(
    "to",
    [
        "file:///etc/passwd", "ftp://x.example/", "gopher://x/", "//user:pw@x.example/", "http://", "http://[::1", "",
        "javascript:1", "data:,x", "x" * 5_000, "http://127.1/", "http://2130706433/",
    ],
)  # fmt: skip
def test_a_redirect_to_what_is_no_page_is_not_followed(to: str) -> None:
    refused(redirect(to))


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1:1/", "http://127.0.0.2/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/",
        "http://①27.0.0.1/",
    ],
)  # fmt: skip
def test_a_redirect_into_this_network_is_not_followed(to: str) -> None:
    """By address, however it is written; but the base itself is the operator's, and may be anywhere."""
    assert "which is not asked" in refused(redirect(to), PUBLIC)
    assert ask(redirect("/here"), PUBLIC).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("host", "policy", "told"),
    [
        ("in.example", PUBLIC, "which is not asked"), ("mapped.example", PUBLIC, "which is not asked"),
        ("six.example", PUBLIC, "which is not asked"), ("alias.example", PUBLIC, "which is not asked"),
        ("none.example", LOOPBACK, "cannot be reached"), ("0x7f.1", PUBLIC, "cannot be reached"),
        ("in.example", LOOPBACK, ""), ("both.example", LOOPBACK, ""),
    ],
)  # fmt: skip
def test_a_name_is_what_it_stands_for(host: str, policy: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In DNS alone. The system, whose look-ups cannot be left, looks up none but the base."""

    def never(*_: object) -> None:
        raise AssertionError("the system looked a name up")

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", never)
    seen: list[str] = []

    async def inside(request: web.Request) -> web.StreamResponse:
        seen.append(request.host.partition(":")[0])
        return linkset()

    async def run() -> Found:
        async with name_server(NAMES, "example") as names, web_server(inside) as there:
            to = f"http://{host}:{there.rpartition(':')[2]}/"
            async with web_server(redirect(to)) as base:
                asker = KeyAsker(read_upstream_url(base), policy, (names.place,))
                try:
                    return await asker.ask(PATH)
                finally:
                    await asker.close()

    if told:
        with pytest.raises(NoAnswerError, match=told):
            uvloop.run(run())
    else:
        assert uvloop.run(run()).outcome is Outcome.OK
    assert seen == ([] if told else [host])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "0"])
def test_what_systems_take_for_an_address_without_a_look_is_no_name(host: str) -> None:
    assert "which is not asked" in refused(redirect(f"http://{host}:1/"), PUBLIC)


def test_a_body_without_end_is_left() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": KIND})
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        except ConnectionError:
            return response

    assert "too long" in refused(answer)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{}", {"Content-Type": KIND}),
        (b"[]", {"Content-Type": KIND}),
        (b"\xff", {"Content-Type": KIND}),
        (b"[" * 100_000, {"Content-Type": KIND}),
        (json.dumps(LINKSET).encode(), {"Content-Type": "text/html"}),
        (json.dumps(LINKSET).encode(), {"Content-Type": KIND, "Content-Encoding": "gzip"}),
    ],
)
def test_a_body_that_is_no_linkset_is_no_answer(body: bytes, headers: dict[str, str]) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    assert "linkset" in refused(answer) or "JSON" in refused(answer)


@pytest.mark.parametrize("status", [200, 204, 300, 304, 400, 401, 429, 500])
def test_other_answers_are_none(status: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    refused(answer)


def test_a_resolver_that_is_away_is_no_answer() -> None:
    async def run() -> None:
        await KeyAsker(read_upstream_url("http://127.0.0.1:1"), LOOPBACK).ask(PATH)

    with pytest.raises(NoAnswerError):
        asyncio.run(run())


def test_octets_that_are_no_http_are_no_answer() -> None:
    async def run() -> None:
        async def lie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x00\x01\x02 no http\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(lie, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        asker = KeyAsker(read_upstream_url(f"http://127.0.0.1:{port}"), LOOPBACK)
        try:
            await asker.ask(PATH)
        finally:
            await asker.close()
            server.close()

    with pytest.raises(NoAnswerError):
        asyncio.run(run())
