"""The public duties on real nodes: what a node in production lacks, what it publishes, what closes with its licence."""

from __future__ import annotations

import base64
import csv
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.config import Config, load
from core.errors import ConfigError
from core.signature import key_id
from node.duties import OWED, load_duties
from node.public_pages import address_of
from node.signing import load_signer
from tests.kit.duties import DUTIES, day, write_duties
from tests.kit.handle_client import Reply as HandleReply
from tests.kit.handle_messages import Value
from tests.kit.handle_node import client_of, record, secret_key
from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
FORM = next(iter(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8"))))
FREE = [part for name in ("http", "https", "handle", "dns", "management") for part in ("--set", f"{name}.port=0")]


def refusal(values: dict[str, Any]) -> ConfigError:
    """Return how a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load_duties(Config(Path("node.toml"), values))
    return caught.value


# --- reading the settings ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("about.operator", "x" * (limits.DUTY_TEXT_CHARS_MAX + 1)),
        ("about.services", ("x" * (limits.DUTY_TEXT_CHARS_MAX + 1),)),
        ("about.fees", ("x",) * (limits.DUTY_ITEMS_MAX + 1)),
        ("about.fees", (0,)),
        ("about.time_limits", ("",)),
        ("about.person", "a\nb"),
        ("about.website", "www.example.cn"),
        ("about.website", "javascript:alert(1)"),
        ("node.public_url", "https://id.example.cn/?a=b"),
        ("node.public_url", "https://user@id.example.cn"),
        ("node.public_url", "https://"),
        ("node.public_url", "https://a:99999"),
    ],
)
def test_a_wrong_text_is_an_error_that_names_its_setting(name: str, value: object) -> None:
    """In development, too: in both languages, and nothing else of the configuration."""
    error = refusal({name: value})
    assert error.fields["setting"] == name
    assert error.message.startswith(f"{name}: ")
    assert not error.message.isascii()


@pytest.mark.parametrize("day_text", ["2026-02-30", "31.12.2026", "2026-1-1", "tomorrow"])
@pytest.mark.parametrize("name", ["licence.valid_from", "licence.valid_until"])
def test_a_wrong_day_is_an_error_that_names_its_setting(tmp_path: Path, name: str, day_text: str) -> None:
    """By the file and by --set."""
    file = tmp_path / "node.toml"
    section, _, key = name.partition(".")
    file.write_text(f'[{section}]\n{key} = "{day_text}"\n')
    with pytest.raises(ConfigError, match=name):
        load(file)
    file.write_text("")
    with pytest.raises(ConfigError, match=name):
        load(file, (f"{name}={day_text}",))


def test_a_day_may_be_one_of_toml(tmp_path: Path) -> None:
    """Without quotes; a moment of a day is none."""
    file = tmp_path / "node.toml"
    file.write_text("[licence]\nvalid_until = 2027-12-31\n")
    assert load(file).text("licence.valid_until") == "2027-12-31"
    file.write_text("[licence]\nvalid_until = 2027-12-31T00:00:00\n")
    with pytest.raises(ConfigError, match="valid_until"):
        load(file)


def test_a_licence_that_ends_before_it_begins_is_none() -> None:
    """One of a single day is one."""
    days = {"licence.valid_from": "2026-01-02", "licence.valid_until": "2026-01-01"}
    assert "licence.valid_from" in refusal(days).message
    duties = load_duties(Config(Path("node.toml"), days | {"licence.valid_until": "2026-01-02"}))
    assert duties.licence is not None


def as_read() -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in DUTIES.items()}


@pytest.mark.parametrize("left_out", OWED)
def test_each_duty_is_asked_for_in_production(left_out: str) -> None:
    """Alone: and then it alone is named."""
    values = as_read() | {"node.profile": "production"}
    assert load_duties(Config(Path("node.toml"), values)).production
    del values[left_out]
    assert refusal(values).fields["missing"] == [left_out]


# --- starting ----------------------------------------------------------------------


def test_a_node_in_production_refuses_to_start_and_names_all_that_is_missing(tmp_path: Path) -> None:
    """Before any port is open; so does ``config check``, and ``doctor`` says so. No write goes around it."""
    node = Node(tmp_path / "node", PREFIX)
    where = ("--config", str(node.config), "--set", "node.profile=production")
    for command in (
        ("serve", *FREE),
        ("config", "check"),
        ("record", "put", f"{PREFIX}/x", "--url", "https://a.example"),
    ):
        done = saltern(*command, *where, check=False)
        told = done.stderr.decode()
        assert done.returncode == 1, told
        assert done.stdout == b""
        assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == list(OWED), "one line a setting"
        assert all(not line.isascii() and "." in line.partition("。")[2] for line in told.splitlines()[1:])
        assert "不启动" in told
        assert "does not start" in told
        assert "Traceback" not in told
    findings = json.loads(saltern("doctor", "--json", *where, check=False).stdout)
    (found,) = [each for each in findings if each["check"] == "duties"]
    assert found["level"] == "error"
    assert all(name in found["message"] for name in OWED)


@pytest.mark.parametrize(
    ("until", "said"), [(-1, "已到期"), (30, "30 天 days"), (400, "")], ids=["ended", "ends soon", "in force"]
)
def test_a_check_of_the_configuration_says_where_the_licence_stands(tmp_path: Path, until: int, said: str) -> None:
    """On standard error; the configuration is valid all the same."""
    node = Node(tmp_path / "node", PREFIX)
    write_duties(node.config, licence__valid_until=day(until))
    done = saltern("config", "check", "--json", "--config", str(node.config))
    assert json.loads(done.stdout)["ok"] is True
    told = done.stderr.decode()
    assert said in told
    assert bool(told) is bool(said)


def metrics(node: Node) -> dict[str, float]:
    with socket.create_connection(("127.0.0.1", node.ready["management"]), timeout=30) as line:
        line.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: line.recv(65_536), b"")).decode().partition("\r\n\r\n")[2]
    rows = (each.rpartition(" ") for each in text.splitlines() if each and each[0] != "#")
    return {name: float(value) for name, _, value in rows if name.startswith("saltern_")}


def licence_of(node: Node) -> dict[str, str]:
    findings = json.loads(saltern("doctor", "--json", "--config", str(node.config), check=False).stdout)
    (found,) = [each for each in findings if each["check"] == "licence"]
    return dict(found)


@pytest.mark.parametrize(
    ("until", "profile", "level", "open_"),
    [(91, "production", "ok", True), (90, "production", "warning", True), (0, "production", "warning", True),
     (-1, "production", "error", False), (-1, "development", "warning", True)],
)  # fmt: skip
def test_the_end_of_a_licence_is_told_in_time(
    tmp_path: Path, until: int, profile: str, level: str, open_: bool
) -> None:
    """In the log of the start, by ``doctor`` and as a metric; in development nothing closes."""
    made = Node(tmp_path / "node", PREFIX)
    write_duties(made.config, profile=profile, licence__valid_until=day(until))
    with made as node:
        assert metrics(node)["saltern_licence_days_left"] in (until, until - 1)  # midnight may have passed
        assert node.put(f"{PREFIX}/x", record(node, "https://a.example")).status == (201 if open_ else 403)
        told = licence_of(node)
        assert (told["level"], day(until) in told["message"]) == (level, True)
        warned = [line for line in node.log().splitlines() if " WARNING saltern.supervisor" in line]
        assert bool(warned) == (level != "ok")
        assert all("licence" in line and day(until) in line for line in warned)
        document = node.ask("GET", "/about", headers={"Accept": "application/json"}).json
        assert document["registration"] == ("open" if open_ else "closed")


def test_a_licence_that_has_not_begun_closes_registration(tmp_path: Path) -> None:
    """The node runs, and waits."""
    made = Node(tmp_path / "node", PREFIX)
    write_duties(made.config, licence__valid_from=day(2))
    with made as node:
        reply = node.put(f"{PREFIX}/x", record(node, "https://a.example"))
        assert (reply.status, reply.json["responseCode"]) == (403, 5)
        assert day(2) in reply.json["message"]
        assert node.get(f"0.NA/{PREFIX}").status == 200
        assert licence_of(node)["level"] == "error"


# --- after the end: every protocol --------------------------------------------------


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose licence ended yesterday; two records, and a token of an operator, are from before."""
    made = Node(tmp_path_factory.mktemp("ended") / "node", PREFIX)
    with made as node:
        for name in ("A", "B", "C", "D"):
            assert node.put(f"{PREFIX}/{name}", record(node, f"https://{name}.example")).status == 201
        issued = saltern(
            "token", "issue", "--role", "operator", "--holder", "张经办", "--json", "--config", str(node.config)
        )
        node.token = json.loads(issued.stdout)["secret"]  # type: ignore[attr-defined]
    write_duties(made.config, licence__valid_until=day(-1))
    with made as node:
        yield node


def test_each_protocol_refuses_to_register_and_goes_on_resolving(ended: Node) -> None:
    """One outcome on all: 403, responseCode and response code 5, exit code 1; in the journal each with its rule."""
    about = f"{PREFIX}/A"
    values = record(ended, "https://changed.example")
    for reply in (
        ended.put(f"{PREFIX}/NEW", values),
        ended.put(about, values),
        ended.put(about, [values[0]], "?index=1"),
    ):
        assert (reply.status, reply.json["responseCode"]) == (403, 5)
        assert day(-1) in reply.json["message"]
    token = {"Authorization": f"Bearer {ended.token}"}  # type: ignore[attr-defined]
    batch = [{"handle": f"{PREFIX}/NEW", "values": values}]
    for method, path, body in (
        ("POST", "/v1/records:batch", batch),
        ("POST", "/v1/parties", FORM),
        ("PUT", "/v1/prefixes/88.118.9/application", {"party": "P000001"}),
    ):
        reply = ended.ask(method, path, body, token)
        assert (reply.status, reply.json["rule"], reply.json["outcome"]) == (403, "licence", "registration-closed")
    for way in ("tcp", "kept", "http"):  # by UDP nothing is changed at all
        client = client_of(ended, way, secret_key(ended))
        new = [Value(1, "URL", b"https://new.example")]
        changes: list[HandleReply] = [
            client.create(f"{PREFIX}/NEW", new),
            client.create(about, new, overwrite=True),
            client.add_values(about, [Value(7, "DESC", b"x")]),
            client.modify_values(about, new),
            client.home("0.NA/88.118.9"),
        ]
        assert [each.code for each in changes] == [5] * len(changes)
        assert client.resolve(about).values[0].data == b"https://A.example"
    assert ended.get(about).json["values"][0]["data"]["value"] == "https://A.example"
    assert ended.ask("GET", f"/{about}").headers["Location"] == "https://A.example"
    assert ended.get(f"{PREFIX}/NEW").status == 404


def test_each_command_is_refused_with_its_reason(ended: Node, tmp_path: Path) -> None:
    """On the command line, through the running node."""
    where = ("--config", str(ended.config))
    lines = tmp_path / "records.jsonl"
    lines.write_text(json.dumps({"handle": f"{PREFIX}/NEW", "values": record(ended, "https://new.example")}) + "\n")
    for command, stdin in (
        (("record", "put", f"{PREFIX}/NEW", "--url", "https://a.example"), b""),
        (("record", "import", str(lines)), b""),
        (("party", "add", "--file", "-"), json.dumps(FORM).encode()),
        (("prefix", "apply", "88.118.9", "--party", "P000001"), b""),
    ):
        done = saltern(*command, *where, check=False, stdin=stdin)
        assert done.returncode == 1, command
        assert day(-1) in done.stderr.decode()
    assert b"https://A.example" in saltern("record", "get", f"{PREFIX}/A", "--json", *where).stdout


def test_what_takes_away_goes_on(ended: Node) -> None:
    """By each protocol a record is deleted; it is gone."""
    assert ended.delete(f"{PREFIX}/B").status == 200
    assert client_of(ended, "tcp", secret_key(ended)).remove_values(f"{PREFIX}/C", [1]).code == 1
    assert client_of(ended, "tcp", secret_key(ended)).delete(f"{PREFIX}/C").code == 1
    saltern("record", "delete", f"{PREFIX}/D", "--config", str(ended.config))
    for name in "BCD":
        assert ended.get(f"{PREFIX}/{name}").status == 404


def test_each_refusal_is_in_the_journal(ended: Node) -> None:
    """With the rule that is the same for all."""
    assert ended.put(f"{PREFIX}/LAST", record(ended, "https://last.example")).status == 403
    done = saltern("journal", "--count", "1000", "--json", "--config", str(ended.config))
    last = [each for each in json.loads(done.stdout) if each["object"] == f"{PREFIX}/LAST"]
    assert [(each["rule"], each["outcome"], each["action"]) for each in last] == [
        ("licence", "registration-closed", "record.put")
    ]


# --- what is published ---------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One in production, with an address of its own."""
    made = Node(tmp_path_factory.mktemp("duties") / "node", PREFIX, node__public_url="https://id.example.cn/")
    write_duties(made.config)
    with made as running:
        yield running


def test_machines_read_what_people_read(node: Node) -> None:
    """On both pages the same document, with every duty, the licence, and the key that reports are checked with."""
    home, about = (node.ask("GET", path, headers={"Accept": "application/json"}) for path in ("/", "/about"))
    assert home.json == about.json
    assert about.headers["Content-Type"] == "application/json"
    told = about.json
    assert told["operator"] == {"name": DUTIES["about.operator"], "website": DUTIES["about.website"]}
    assert [told[name] for name in ("services", "time_limits", "fees")] == [
        DUTIES[f"about.{name}"] for name in ("services", "time_limits", "fees")
    ]
    assert told["responsible"] == {"department": DUTIES["about.department"], "person": DUTIES["about.person"]}
    assert told["complaints"] == {"contact": DUTIES["about.complaint_contact"]}
    licence = told["licence"]
    assert licence.pop("days_left") > 365
    assert licence == {
        **{name.partition(".")[2]: value for name, value in DUTIES.items() if name.startswith("licence.")},
        "state": "in-force",
    }
    assert told["signing_key"]["key_id"] == key_id(load_signer(load(node.config)).public_key)
    public = base64.b64decode(told["signing_key"]["public_key"])
    assert public == load_signer(load(node.config)).public_key
    assert told["links"]["about"] == "https://id.example.cn/about"
    assert (told["registration"], told["prefix"]) == ("open", PREFIX)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/html"), ("", "text/html"), ("*/*", "text/html"), ("text/html", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"), ("Application/JSON", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html;q=0.4, application/json;q=0.5", "application/json"),
        ("text/html, application/json", "text/html"), ("application/json;q=0", "text/html"),
        ("application/json;q=x", "text/html"), ("image/png", "text/html"), (",;,;q=,//", "text/html"),
    ],
)  # fmt: skip
def test_accept_chooses(node: Node, accept: str | None, kind: str) -> None:
    """What nobody can read is a page; caches keep both apart, for a minute."""
    for path in ("/", "/about"):
        reply = node.ask("GET", path, headers={} if accept is None else {"Accept": accept})
        assert reply.status == 200
        assert str(reply.headers["Content-Type"]).partition(";")[0] == kind
        assert reply.headers["Vary"] == "Accept"
        assert reply.headers["Cache-Control"] == f"public, max-age={limits.PUBLIC_PAGE_S}"


@pytest.mark.parametrize("path", ["/", "/about"])
def test_the_pages_are_read_alone(node: Node, path: str) -> None:
    """HEAD is GET without its body; another method is told which there are."""
    got, head = (node.ask(method, path) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        reply = node.ask(method, path, b"x")
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
    assert node.ask("GET", "/about/").status == 404


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("88.118.7%2FSKU01", "/88.118.7/SKU01"),
        ("++88.118.7%2FSKU01%20", "/88.118.7/SKU01"),
        ("88.118.7/%E7%9B%90+%25%3F%23", "/88.118.7/%E7%9B%90%20%25%3F%23"),
        ("88.118.7/a/../b", "/88.118.7/a%2F..%2Fb"),
        ("88.118.7/..", "/88.118.7%2F.."),
        ("//evil.example/x", "/%2F%2Fevil.example%2Fx"),
        ("/evil.example", "/%2Fevil.example"),
        ("\\\\evil.example", "/%5C%5Cevil.example"),
        ("a%0d%0aSet-Cookie:%20x", "/a%0D%0ASet-Cookie%3A%20x"),
        ("88.118.7", "/88.118.7"),
    ],
)
def test_a_form_leads_to_the_identifier_and_nowhere_else(node: Node, asked: str, path: str) -> None:
    """No character is taken for one of an address; it stays on this host."""
    reply = node.ask("GET", f"/?identifier={asked}")
    assert (reply.status, reply.headers["Location"]) == (302, f"{path}?noredirect")
    assert reply.headers["Cache-Control"] == "no-store"
    assert node.ask("GET", reply.headers["Location"]).status in (200, 400, 404, 421)


@pytest.mark.parametrize("query", ["?identifier=", "?identifier=+++", "?identifier", "?other=x", "?"])
def test_an_empty_form_is_the_home_page(node: Node, query: str) -> None:
    """Nothing asked, nothing wrong."""
    assert node.ask("GET", f"/{query}").status == 200


def test_what_is_too_long_or_no_text_is_a_page_that_says_so(node: Node) -> None:
    """400, never 5xx."""
    assert node.ask("GET", f"/?identifier={'x' * (limits.HANDLE_BYTES_MAX + 1)}").status == 400
    assert node.ask("GET", "/?" + "&".join(["a="] * (limits.QUERY_FIELDS_MAX + 1))).status == 400
    assert node.ask("GET", "/?identifier=%ff").status == 302
    assert address_of("\udcff/x") == "/%FF/x?noredirect"
