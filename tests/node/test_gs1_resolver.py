"""GS1 Digital Links on a running node: what leads where, what does not, and that no request makes it fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import now_s
from core.errors import Outcome
from core.events import Via
from core.ident.digital_link import parse_uri
from core.ident.dl_compression import compress
from core.wire.sitefile import read_sites, site_values
from registry.client import BlockingClient
from registry.commands import OPERATOR, Home, Put, Request
from tests.kit.gs1_node import ADDRESS, GLN, GTIN, LOT, PREFIX, PRODUCT, codes, fits, furnish, link, name, put
from tests.kit.handle_node import HOST
from tests.kit.node import Node, Reply, saltern
from tests.kit.spools import entries
from tests.kit.vectors import load

ENTERPRISE = "88.118.9"
WORDS = "SALTCO"  # a prefix of letters
PLAIN, BARE, HELD = "06905330100014", "06905330100021", "06905330100038"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BASE = "https://id.example.cn"
PRODUCT_PATH = f"/01/{GTIN}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with public_url; beside the product with links a plain one, one without a URL, one on hold."""
    folder = tmp_path_factory.mktemp("gs1") / "node"
    with Node(folder, PREFIX, ENTERPRISE, "253", WORDS, node__public_url=BASE) as made:
        furnish(made)
        put(made, f"{PREFIX}/PLAIN", ("URL", ADDRESS + "plain"))
        put(made, f"{PREFIX}/BARE", ("DESC", "无网址"))
        put(made, f"{PREFIX}/HELD", ("URL", ADDRESS + "held"))
        name(made, f"{PREFIX}/PLAIN", f"gtin:{PLAIN}", f"gln:{GLN}")
        name(made, f"{PREFIX}/BARE", f"gtin:{BARE}")
        name(made, f"{PREFIX}/HELD", f"gtin:{HELD}")
        config = ("--config", str(made.config))
        saltern("hold", "place", f"{PREFIX}/HELD", "--order", "令1", "--reason", "抽检不合格", "--public", *config)
        yield made
        assert "ticket" not in made.log(), "no handler failed"


@pytest.fixture(scope="module")
def serials(node: Node) -> list[str]:
    """Serial numbers of the lot: one for sale, one scrapped, one recalled."""
    events = [
        {"event": "commissioned", "from": 0, "count": 3, "time": "2026-01-01T00:00:00Z"},
        {"event": "inactive", "from": 2, "count": 1, "time": "2026-01-02T00:00:00Z"},
        {"event": "scrapped", "from": 1, "count": 1, "time": "2026-01-02T00:00:00Z"},
    ]
    file = node.folder / "events.json"
    file.write_text(json.dumps(events))
    saltern("lot", "events", LOT, str(file), "--config", str(node.config))
    return codes(node, LOT, 0, 3)


def get(node: Node, path: str, *, tls: bool = False, **headers: str) -> Reply:
    return node.ask("GET", path, headers={each.replace("_", "-"): text for each, text in headers.items()}, tls=tls)


def location(node: Node, path: str, **headers: str) -> str:
    reply = get(node, path, **headers)
    assert reply.status == 307, (path, reply.status, reply.body)
    assert reply.headers["Vary"] == "Accept, Accept-Language"
    return str(reply.headers["Location"])


def logged(node: Node, path: str) -> list[Outcome]:
    asked = path.lstrip("/").encode()
    return [each.outcome for each in entries(node) if each.via is Via.DIGITAL_LINK and each.identifier == asked]


# --- where a key leads -------------------------------------------------------------
def test_a_record_without_links_leads_to_its_url(node: Node) -> None:
    """Which is its one link, of the type gs1:pip; the quick way and the long one say the same."""
    path = f"/01/{PLAIN}"
    quick, long = get(node, path), get(node, path, X_Other="a")
    assert (quick.status, list(quick.headers.items())[:-1]) == (long.status, list(long.headers.items())[:-1])
    assert location(node, path) == location(node, f"{path}?linkType=gs1:pip").partition("?")[0] == ADDRESS + "plain"
    assert get(node, f"{path}?linkType=gs1:faqs").status == 404
    assert location(node, f"/414/{GLN}") == location(node, f"/414/{GLN}/254/LINE-3") == ADDRESS + "plain"


def test_without_a_url_it_leads_to_the_page_of_the_identifier(node: Node) -> None:
    """At this node's own address."""
    assert location(node, f"/01/{BARE}") == f"{BASE}/{PREFIX}/BARE"
    page = get(node, f"/{PREFIX}/BARE")
    assert (page.status, "无网址" in page.body.decode()) == (200, True)


def test_language_and_type_choose(node: Node) -> None:
    """By weight, and by look-up; of the default's own type also without asking for it."""
    path = PRODUCT_PATH
    assert location(node, path) == ADDRESS + "zh"
    assert location(node, path, Accept_Language="en-GB,en;q=0.9", **HTML) == ADDRESS + "en"
    assert location(node, path, Accept_Language="zh-Hans-CN,en;q=0.9", **HTML) == ADDRESS + "zh"
    assert location(node, path, Accept_Language="fr", **HTML) == ADDRESS + "zh"
    asked = f"{path}?linkType=gs1:pip"
    assert location(node, asked, Accept_Language="en", Accept="application/pdf") == ADDRESS + "pdf?linkType=gs1:pip"
    assert location(node, asked, Accept_Language="zh;q=0.2,en;q=0.9", **HTML).startswith(ADDRESS + "en?")
    assert location(node, asked, Accept_Language="en;q=0", **HTML).startswith(ADDRESS + "zh?")
    uri = f"{path}?linkType=https%3A%2F%2Fgs1.org%2Fvoc%2Ffaqs"
    assert location(node, uri) == ADDRESS + "faq?linkType=https%3A%2F%2Fgs1.org%2Fvoc%2Ffaqs"


def test_context_chooses(node: Node) -> None:
    """The suite cannot ask for it: one of two links that differ by their context alone."""
    links = [link(each, "gs1:certificationInfo", context=[each]) for each in ("CN", "EU")]
    put(node, f"{PREFIX}/CONTEXT", *(("GS1_LINK", each) for each in links))
    name(node, f"{PREFIX}/CONTEXT", "gtin:06905330100045")
    asked = "/01/06905330100045?linkType=gs1:certificationInfo"
    assert location(node, f"{asked}&context=EU").startswith(ADDRESS + "EU?")
    assert location(node, f"{asked}&context=CN").startswith(ADDRESS + "CN?")
    assert get(node, asked).status == get(node, f"{asked}&context=US").status == 300


def test_what_fits_equally_well_is_left_to_choose(node: Node) -> None:
    """300 with a linkset for programs, with a page for people."""
    asked = f"{PRODUCT_PATH}?linkType=gs1:recipeInfo"
    reply = get(node, asked, Accept_Language="zh")
    assert (reply.status, reply.headers["Content-Type"]) == (300, "application/linkset+json")
    assert fits(reply.json)
    (entry,) = reply.json["linkset"]
    assert [each["title"] for each in entry["https://gs1.org/voc/recipeInfo"]] == ["recipe1", "recipe2"]
    page = get(node, asked, **HTML)
    assert (page.status, page.headers["Content-Type"]) == (300, "text/html;charset=utf-8")
    assert f'href="{ADDRESS}recipe1"' in page.body.decode()


def test_the_query_is_passed_on_unless_the_link_says_no(node: Node) -> None:
    """As written; also the attributes of the key."""
    assert location(node, f"/01/{PLAIN}?17=271121&x=%E7%9B%90") == ADDRESS + "plain?17=271121&x=%E7%9B%90"
    cert = location(node, f"{PRODUCT_PATH}?linkType=gs1:certificationInfo")
    assert cert == ADDRESS + "certificate?a=b&linkType=gs1:certificationInfo"
    assert location(node, f"{PRODUCT_PATH}?linkType=next") == ADDRESS + "next"


def test_what_is_longer_than_anything_here_walks_up(node: Node, serials: list[str]) -> None:
    """An unknown lot to its product; a known one and a bag have what the product has; a type where there is one."""
    lot, bag = f"{PRODUCT_PATH}/10/L1", f"{PRODUCT_PATH}/21/{serials[0]}"
    for path in (f"{PRODUCT_PATH}/10/KL8G", f"{PRODUCT_PATH}/22/2A/10/KL8G/21/X", lot, bag, f"{lot}/21/{serials[0]}"):
        assert location(node, path) == ADDRESS + "zh"
        assert location(node, f"{path}?linkType=gs1:recallStatus").startswith(ADDRESS + "recall?")
    anchors = [each["anchor"] for each in get(node, f"{lot}/21/{serials[0]}?linkType=linkset").json["linkset"]]
    assert anchors == [f"{BASE}{path}" for path in (f"{lot}/21/{serials[0]}", lot, PRODUCT_PATH)]


# --- who is not led on ---------------------------------------------------------------
def test_no_code_that_is_none_looks_genuine(node: Node, serials: list[str]) -> None:
    """Never issued is 404, scrapped 410, on hold 451 with what the order says; to programs and to people."""
    false = serials[0][:-1] + ("3" if serials[0][-1] == "2" else "2")
    for path, status in (
        (f"{PRODUCT_PATH}/21/{false}", 404),
        (f"{PRODUCT_PATH}/21/{serials[1]}", 410),
        (f"/01/{HELD}", 451),
    ):
        for tail in ("", "?linkType=linkset", "?linkType=gs1:recallStatus"):
            reply = get(node, path + tail)
            assert (reply.status, "Location" in reply.headers) == (status, False)
            assert reply.json["status"] == status
        page = get(node, path, **HTML)
        assert (page.status, page.headers["Content-Type"]) == (status, "text/html;charset=utf-8")
    assert "抽检不合格" in get(node, f"/01/{HELD}").json["detail"]


def test_a_recalled_bag_leads_to_its_page_alone(node: Node, serials: list[str]) -> None:
    """Whatever is asked for; the page says what is the matter."""
    path, page = f"{PRODUCT_PATH}/21/{serials[2]}", f"{BASE}/{PREFIX}/{serials[2]}"
    assert location(node, path) == page
    assert location(node, f"{path}?linkType=gs1:pip") == f"{page}?linkType=gs1:pip"
    (entry,) = get(node, f"{path}?linkType=linkset").json["linkset"]
    assert "召回" in entry["itemDescription"]
    shown = get(node, page.removeprefix(BASE))
    assert (shown.status, "召回" in shown.body.decode()) == (200, True)


def test_what_nobody_registered_is_not_found(node: Node) -> None:
    """A page for people, problem details for programs; and one entry of the log."""
    path = "/01/06905330109994"
    assert get(node, path).json["outcome"] == "handle-not-found"
    assert "GS1" in get(node, path, **HTML).body.decode()
    assert get(node, "/8004/6901234PALLET1").status == 404
    assert logged(node, path) == [Outcome.HANDLE_NOT_FOUND] * 2


# --- other nodes, other forms ---------------------------------------------------------
def test_a_key_of_a_delegated_prefix_is_handled_by_its_node(
    node: Node, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same key there, with the query; named by gs1:handledBy instead of the linkset, and in the linkset."""
    gtin = "06905330100052"
    with Node(tmp_path_factory.mktemp("enterprise") / "node", ENTERPRISE) as there:
        put(there, f"{ENTERPRISE}/A", ("URL", ADDRESS + "theirs"))
        name(there, f"{ENTERPRISE}/A", f"gtin:{gtin}")
        answer = there.ask("GET", "/api/site").json
        answer["site"]["servers"][0]["address"] = HOST
        client = BlockingClient(node.folder / "data" / "run")
        sites = site_values(read_sites(json.dumps(answer).encode()), now_s())
        for command in (Home(ENTERPRISE, "delegated"), Put(f"0.NA/{ENTERPRISE}", sites, overwrite=True)):
            assert client.call(Request(command, OPERATOR)).done
        client.close()
        name(node, f"{ENTERPRISE}/A", f"gtin:{gtin}")
        path = f"/01/{gtin}/10/LOT7?linkType=gs1:pip"
        reply = get(node, path)
        origin = f"https://{HOST}:{there.ready['https']}"
        assert (reply.status, reply.headers["Location"]) == (307, origin + path)
        handled = f'<{origin}/01/{gtin}/10/LOT7>; rel="https://gs1.org/voc/handledBy"'
        assert reply.headers["Link"] == handled
        assert get(there, path, tls=True).headers["Location"] == ADDRESS + "theirs?linkType=gs1:pip"
        document = get(node, f"/01/{gtin}?linkType=linkset").json
        assert fits(document)
        (entry,) = document["linkset"]
        assert entry["https://gs1.org/voc/handledBy"][0]["href"] == f"{origin}/01/{gtin}"
        assert logged(node, path.partition("?")[0]) == [Outcome.SERVICE_REFERRAL]


VECTORS = [each for each in load("gs1/dl-compression-vectors.json")["vectors"] if "compressed" in each]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: str(each["compressed"]))
def test_a_compressed_key_is_answered_as_itself(node: Node, vector: dict[str, str]) -> None:
    """Not by a redirect to its longer form at this node, which the Link header tells."""
    compressed = vector["compressed"].removeprefix("https://example.org")
    whole = vector["decompressed"].removeprefix("https://example.org")
    longer = whole.partition("?")[0]
    short, long = get(node, compressed), get(node, longer)
    assert (short.status, short.headers["Location"]) == (long.status, long.headers["Location"])
    assert BASE not in short.headers.get("Location", "")
    if short.status == 307:
        assert f'<{BASE}{whole}>; rel="owl:sameAs"' in short.headers["Link"]
        assert 'rel="linkset"' in short.headers["Link"]
    assert len(logged(node, compressed)) == 1


def test_a_key_may_be_compressed_behind_its_first_element(node: Node, serials: list[str]) -> None:
    """The first element in the clear; what is no such thing is refused as before."""
    whole = compress(parse_uri(f"{BASE}{PRODUCT_PATH}/21/{serials[0]}"))
    anchors = [each["anchor"] for each in get(node, f"{whole}?linkType=linkset").json["linkset"]]
    assert anchors == [f"{BASE}{PRODUCT_PATH}/21/{serials[0]}", f"{BASE}{PRODUCT_PATH}"]
    for stem in ("/01/junk", "/01/x/y", f"{PRODUCT_PATH}/a"):
        assert get(node, f"{stem}{whole}").status == 400
    part = compress(parse_uri(f"{BASE}{PRODUCT_PATH}/10/KL8G?8004=6901234PALLET1"))  # another key: its own in the clear
    assert part.startswith(f"{PRODUCT_PATH}/")
    reply = get(node, part)
    assert (reply.status, reply.headers["Location"]) == (307, ADDRESS + "zh")
    whole = f"{BASE}{PRODUCT_PATH}/10/KL8G?8004=6901234PALLET1"
    assert f'<{whole}>; rel="owl:sameAs"' in reply.headers["Link"]


@pytest.mark.parametrize(
    ("path", "status"), [(f"/{PREFIX}", 200), (f"/{WORDS}", 200), ("/NOTHING", 421), ("/253", 400)]
)
def test_a_path_of_one_segment_is_a_prefix_unless_it_is_a_key(node: Node, path: str, status: int) -> None:
    """What does not decompress stays an identifier; a number that is a GS1 key is that."""
    assert get(node, path).status == status
    assert get(node, "/253/abc").status == 400
    assert get(node, f"/{PREFIX}/PLAIN").status == 302


# --- the interface -----------------------------------------------------------------
@pytest.mark.parametrize("tls", [True, False])
def test_methods_and_other_origins(node: Node, tls: bool) -> None:
    """GET, HEAD and OPTIONS, for pages of any origin; all else is 405 and says so. OPTIONS resolves nothing."""
    path, origin = f"/01/{PLAIN}/10/METHODS{tls}", {"Origin": "https://elsewhere.example"}
    head = node.ask("HEAD", path, headers=origin, tls=tls)
    assert (head.status, head.body, head.headers["Location"]) == (307, b"", ADDRESS + "plain")
    options = node.ask("OPTIONS", path, headers=origin, tls=tls)
    assert (options.status, options.body, options.headers["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        reply = node.ask(method, path, b"{}", headers=origin, tls=tls)
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
    for method, status in (("HEAD", 200), ("OPTIONS", 204), ("POST", 405)):
        assert node.ask(method, "/.well-known/gs1resolver", headers=origin, tls=tls).status == status
    assert node.ask("OPTIONS", "/01/06901234567893", headers=origin).status == 400
    assert logged(node, path) == [Outcome.OK]


def test_the_resolver_is_described_as_the_operator_says(node: Node) -> None:
    """Root and keys; who runs it where that is said."""
    told = get(node, "/.well-known/gs1resolver").json
    assert told["resolverRoot"] == BASE
    assert "01" in told["supportedPrimaryKeys"]
    assert get(node, "/.well-known/other").status == 404


def test_without_a_public_address_the_host_is_what_was_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of the request; one that is none is refused, and nothing of it is repeated."""
    with Node(tmp_path_factory.mktemp("host") / "node", PREFIX) as made:
        put(made, f"{PREFIX}/BARE", ("DESC", "x"))
        name(made, f"{PREFIX}/BARE", f"gtin:{BARE}")
        assert location(made, f"/01/{BARE}", Host="ID.example.cn") == f"http://id.example.cn/{PREFIX}/BARE"
        for host in ("", "a b", "a/b", "u@a", "x" * 300, '"><script>', "a,b"):
            reply = get(made, f"/01/{BARE}", Host=host)
            assert (reply.status, b"script" in reply.body) == (400, False), host


# --- what is refused when it is written ------------------------------------------------
@pytest.mark.parametrize(
    ("links", "told"),
    [
        ([link("a", "gs1:nosuchlt")], "rel"),
        ([link("a", "gs1:pip", hreflang=["zh-Hans"])], "hreflang"),
        ([link("a", "gs1:pip", default=True), link("b", "gs1:pip", default=True)], "默认链接"),
        ([link(str(at), "gs1:pip") for at in range(65)], "64"),
        (["no JSON"], "JSON"),
    ],
)  # fmt: skip
def test_a_wrong_link_is_not_stored(node: Node, links: list[str], told: str) -> None:
    """By the JSON interface, by a batch and by the command, in Chinese and English."""
    handle = f"{PREFIX}/WRONG"
    forms: list[dict[str, Any]] = [{"index": at, "type": "GS1_LINK", "data": each} for at, each in enumerate(links, 1)]
    reply = node.put(handle, forms)
    assert reply.status in (400, 413)
    assert told in reply.json["message"]
    batch = [{"handle": handle, "values": forms}]
    (item,) = node.ask("POST", "/v1/records:batch", batch, node.admin()).json["results"]
    assert item["outcome"] in ("invalid-value", "too-large")
    done = saltern("record", "put", handle, "--file", "-", "--config", str(node.config), check=False,
                   stdin=json.dumps(forms).encode())  # fmt: skip
    assert (done.returncode, told in done.stderr.decode()) == (1, True)
    assert node.get(handle).status == 404


def test_a_link_is_shown_as_what_it_is(node: Node) -> None:
    """Text in JSON, as it was written; on the page its title, which leads there."""
    values = node.get(PRODUCT, "?type=GS1_LINK").json["values"]
    assert values[0]["data"]["format"] == "string"
    assert json.loads(values[0]["data"]["value"])["href"] == ADDRESS + "zh"
    page = get(node, f"/{PRODUCT}?noredirect").body.decode()
    assert f'<a href="{ADDRESS}faq" rel="nofollow noopener">问答 (gs1:faqs)</a>' in page


def test_a_label_with_a_digital_link_leads_somewhere(node: Node) -> None:
    """Nothing is to be warned of where the GTIN is an alias; the code that is printed is answered."""
    options = ("--digital-link", "--format", "zpl", "--count", "1", "--from", "5", "--set", f"node.public_url={BASE}")
    done = saltern("lot", "labels", LOT, *options, "--out", str(node.folder / "out"), "--config", str(node.config))
    assert done.stderr == b""
    (file,) = (node.folder / "out").iterdir()
    found = re.search(r"HTTPS://ID.EXAMPLE.CN(/01/\d{14}/21/[A-Z0-9]+)", file.read_text())
    assert found is not None
    assert location(node, found[1]) == ADDRESS + "zh"


# --- bad input ------------------------------------------------------------------------
BAD_PATHS = [
    "/01", "/01/", "/01/0690123456789", "/01/6901234567892", "/01/06901234567893", "/01/x", "/01/%zz", "/01//10/L1",
    f"/01/{GTIN}/99/x", f"/01/{GTIN}/21/S/10/L", f"/01/{GTIN}/10/A/10/B", f"/01/{GTIN}/10/", f"/01/{GTIN}/10",
    f"/01/{GTIN}/10/%00", f"/01/{GTIN}/10/%E7%9B%90", f"/01/{GTIN}/10/%FF",
    f"/01/{GTIN}/10/{'L' * 21}", f"/01/{GTIN}/10/{'L' * 10_000}", f"/01/{GTIN}?10=L", f"/01/{GTIN}?" + "a=b&" * 3_000,
    f"/01/{GTIN}?linkType={'x' * 5_000}", f"/01/{GTIN}/01/{GTIN}", "/00/1", "/414/6901234567893", "/8004/", "/253/!",
    f"/01/foo/01/{GTIN}", "/01/" + "/" * 500, "/8018/%F0%9F%A7%82",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: path[:40])
def test_what_does_not_parse_is_refused(node: Node, path: str) -> None:
    """400 with a reason in Chinese and English, a page for people; it is no resolution."""
    before = logged(node, path.partition("?")[0])
    reply = get(node, path)
    assert (reply.status, reply.headers["Content-Type"]) == (400, "application/problem+json")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert any(char > "\u4e00" for char in reply.json["detail"])
    page = get(node, path, **HTML)
    assert (page.status, page.headers["Content-Type"]) == (400, "text/html;charset=utf-8")
    assert logged(node, path.partition("?")[0]) == before


@pytest.mark.parametrize(
    "accept", ["", "x", "*/*;q=" + "9" * 900, ",;" * 3_000, "text/html;q=2", "\xff\xfe", "a/b;" * 999]
)
def test_no_header_matters_that_cannot_be_read(node: Node, accept: str) -> None:
    """A redirect to the default, as without it."""
    headers = {"Accept": accept, "Accept-Language": accept}
    assert node.ask("GET", PRODUCT_PATH, headers=headers).headers["Location"] == ADDRESS + "zh"


def test_a_head_that_is_too_long_is_refused(node: Node) -> None:
    """By the transport, as for every path."""
    assert get(node, PRODUCT_PATH, Accept="a" * 20_000).status == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    st.lists(st.text("/0128934%zZ\u76d0?&=:.-_~+", max_size=12), max_size=5).map("".join),
    st.text("linkType=gs1:pp&%0cotex\x00", max_size=30),
)
def test_no_path_makes_the_node_fail(node: Node, tail: str, query: str) -> None:
    """Whatever stands behind a key: 2xx to 4xx."""
    path = f"/01/{GTIN}{quote(tail, safe='/%?&=:~+')}?{quote(query, safe='&=%:')}"
    assert 200 <= get(node, path).status < 500
