"""Addresses of top nodes: one form, no secrets in them, plain HTTP to this machine alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.upstream_url import UpstreamUrl, is_loopback, read_upstream_url

CJK = re.compile("[\u4e00-\u9fff]")
RIGHT = {
    "https://top.example.cn": UpstreamUrl(True, "top.example.cn", 443, ""),
    "HTTPS://Top.Example.CN:8443/Ab/": UpstreamUrl(True, "top.example.cn", 8443, "/Ab"),
    "https://192.0.2.1/a/b": UpstreamUrl(True, "192.0.2.1", 443, "/a/b"),
    "https://[2001:DB8::1]:443": UpstreamUrl(True, "2001:db8::1", 443, ""),
    "http://127.0.0.1:9000": UpstreamUrl(False, "127.0.0.1", 9000, ""),
    "http://127.9.9.9": UpstreamUrl(False, "127.9.9.9", 80, ""),
    "http://[::1]:9000/x": UpstreamUrl(False, "::1", 9000, "/x"),
    "http://LocalHost": UpstreamUrl(False, "localhost", 80, ""),
}
WRONG = [
    "", "top.example.cn", "//top.example.cn", "ftp://top.example.cn", "https://", "https:///x", "https://-a.cn",
    "https://a..cn", "https://a.cn:", "https://a.cn:0", "https://a.cn:65536", "https://a.cn:x", "https://[::1", "https://::1",
    "https://[zz]", "https://[1.2.3.4]", "https://u@a.cn", "https://u:p@a.cn", "https://@a.cn", "https://a.cn?x=1", "https://a.cn/#f",
    "https://a.cn/a b", "https://a.cn/\n", "https://a.cn\t", "https://例.cn", "https://a.cn/\\x", "https://a.cn/../x",
    "https://a.cn/./x", "https://" + "a" * 300, "https://" + "a" * 254, "http://top.example.cn", "http://192.0.2.1",
    "http://128.0.0.1", "http://0.0.0.0", "http://[::]", "http://[::ffff:127.0.0.1]", "http://localhost.cn",
    "http://127.1", "http://localhost@a.cn", " https://a.cn",
]  # fmt: skip


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_an_address(text: str) -> None:
    """It is taken apart, and written in one form, which says the same."""
    found = read_upstream_url(text)
    assert found == RIGHT[text]
    assert read_upstream_url(str(found)) == found


@pytest.mark.parametrize("text", WRONG)
def test_what_is_none(text: str) -> None:
    """Refused in both languages; nothing of it is told, which may be a password."""
    with pytest.raises(WireError) as caught:
        read_upstream_url(text)
    zh, en = str(caught.value.fields["zh"]), str(caught.value.fields["en"])
    assert CJK.search(zh)
    assert en
    assert not CJK.search(en)
    assert caught.value.message == f"{zh}。{en}"


def test_it_says_what_is_wrong() -> None:
    """Each of these by its own words."""
    said = {}
    for text in (
        "http://top.example.cn",
        "https://u:p@a.cn",
        "https://a.cn?x",
        "https://a.cn:0",
        "x" * 301,
        "https://a.cn/ ",
    ):
        with pytest.raises(WireError) as caught:
            read_upstream_url(text)
        said[caught.value.message] = text
    assert len(said) == 6


@given(st.one_of(st.text(max_size=40), st.from_regex(r"https?://[a-z0-9.:\[\]@/?#%-]{0,30}", fullmatch=True)))
@example("http://127.0.0.1" + "/" * 284)
def test_it_is_total(text: str) -> None:
    """An address within its bounds or a WireError; plain HTTP never leaves this machine."""
    try:
        found = read_upstream_url(text)
    except WireError:
        return
    assert found.secure or is_loopback(found.host)
    assert 0 < found.port < 65_536
    assert len(str(found)) <= limits.UPSTREAM_URL_CHARS_MAX
    assert str(found).isascii()
    assert read_upstream_url(str(found)) == found
