"""Complaints on a real node: filed over HTTP and in a browser, handled by the command line, read by an auditor."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from core import limits
from tests.kit.chromium import DESKTOP, PHONE, Chromium, needs_chromium
from tests.kit.node import Node, Reply, saltern
from tests.node.test_rate_limits import get, http

OWN = "88.118"
EXEMPT = "127.0.0.1"
CLERK = "张客服"
CONTACT = {"name": "欧阳小明", "phone": "13912345678", "email": "ouyang.xiaoming@example.cn"}
SAID = {"kind": "wrong-data", "subject": "88.118/SKU01", "text": "单位名称写错了"}
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
SHOTS = os.environ.get("SALTERN_SCREENSHOTS")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("complaints") / "node", OWN, resolver__rate_limit_exempt=[EXEMPT]) as running:
        yield running
        assert "Traceback" not in running.log()
        running.fsck()


def do(node: Node, *arguments: str) -> Any:
    """Run one command with --json; return what it says."""
    done = saltern(*arguments, "--actor", CLERK, "--json", "--config", str(node.config), check=False)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return json.loads(done.stdout)


def refused(node: Node, *arguments: str) -> str:
    """Run one command that is refused; return the rule."""
    done = saltern(*arguments, "--actor", CLERK, "--json", "--config", str(node.config), check=False)
    assert done.returncode == 1, done.stdout
    return str(json.loads(done.stdout)["rule"])


def post(node: Node, fields: dict[str, str]) -> Reply:
    return node.ask("POST", "/complaints", urlencode(fields).encode(), FORM_TYPE)


def metrics(node: Node) -> dict[str, float]:
    url = f"http://127.0.0.1:{node.ready['management']}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_a_complaint_from_filing_to_its_end(node: Node) -> None:
    """Filed over HTTP, handled by the command line, looked up by its ticket, read whole by an auditor."""
    filed = node.ask("POST", "/v1/complaints", SAID | CONTACT)
    assert filed.status == 201
    ticket = filed.json["ticket"]
    status = f"/v1/complaints/{ticket}"
    assert node.ask("GET", status).json == filed.json
    assert [row["ticket"] for row in do(node, "complaint", "list", "--state", "received")] == [ticket]
    assert do(node, "complaint", "list", "--overdue") == []
    shown = do(node, "complaint", "show", ticket)
    assert (shown["text"], shown["contact"]) == (SAID["text"], ["name", "phone", "email"])
    assert do(node, "complaint", "show", ticket.lower(), "--contact")["contact"] == CONTACT
    assert refused(node, "complaint", "close", ticket) == "complaint-state"
    assert refused(node, "complaint", "answer", ticket, "--text", " ") == "complaint-text"
    do(node, "complaint", "accept", ticket)
    do(node, "complaint", "answer", ticket, "--text", "已更正 Corrected")
    assert node.ask("GET", status).json["reply"] == "已更正 Corrected"
    assert do(node, "complaint", "close", ticket)["state"] == "closed"
    secret = do(node, "token", "issue", "--role", "auditor", "--holder", "王审计")["secret"]
    bearer = {"Authorization": f"Bearer {secret}"}
    told = node.ask("GET", f"{status}/history", headers=bearer).json
    assert [step["event"] for step in told["steps"]] == ["file", "accept", "answer", "close"]
    assert [step["who"].partition(" ")[0] for step in told["steps"]] == ["anybody", CLERK, CLERK, CLERK]
    acts = [each for each in do(node, "journal", "--count", "1000") if each["object"] == ticket]
    assert [(each["action"], each["rule"]) for each in acts] == [
        ("complaint.file", None), ("complaint.contact", None), ("complaint.close", "complaint-state"),
        ("complaint.answer", "complaint-text"), ("complaint.accept", None), ("complaint.answer", None),
        ("complaint.close", None),
    ]  # fmt: skip


def test_people_read_it_at_the_command_line(node: Node) -> None:
    ticket = node.ask("POST", "/v1/complaints", SAID | CONTACT).json["ticket"]
    do(node, "complaint", "reject", ticket, "--reason", "重复 A double")
    shown = saltern("complaint", "show", ticket, "--contact", "--config", str(node.config)).stdout.decode()
    assert CONTACT["phone"] in shown
    assert "不予受理 rejected" in shown
    listed = saltern("complaint", "list", "--config", str(node.config)).stdout.decode()
    assert ticket in listed
    assert SAID["subject"] in listed


def test_a_complaint_by_the_form(node: Node) -> None:
    """Wrong, then right, then its page."""
    wrong = post(node, SAID | {"kind": "", "phone": "12"})
    assert wrong.status == 400
    assert wrong.body.decode().count("aria-invalid") == 2
    filed = post(node, SAID | CONTACT)
    assert filed.status == 303
    place = filed.headers["Location"]
    ticket = parse_qs(urlsplit(place).query)["ticket"][0]
    shown = node.ask("GET", place)
    assert ticket in shown.body.decode()
    assert CONTACT["name"] not in shown.body.decode()
    head = node.ask("HEAD", "/complaints")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/complaints", "/v1/complaints"])
def test_a_body_is_bounded(node: Node, path: str) -> None:
    """By what the longest complaint takes, written as clumsily as can be."""
    kinds = {"/complaints": FORM_TYPE, "/v1/complaints": {"Content-Type": "application/json"}}
    size = limits.COMPLAINT_BODY_BYTES_MAX
    assert node.ask("POST", path, b"x" * (size + 1), kinds[path]).status == 413
    assert node.ask("POST", path, b"x" * size, kinds[path]).status == 400


def test_the_longest_complaint_fits(node: Node) -> None:
    """Each character of four octets, by a form and as escaped JSON."""
    longest = SAID | {
        "text": "\U0001f9c2" * limits.COMPLAINT_CHARS_MAX,
        "subject": "\U0001f9c2" * 255,
        "name": "盐" * 64,
    }
    assert post(node, longest).status == 303
    assert node.ask("POST", "/v1/complaints", longest).status == 201


def test_a_source_files_so_many_and_no_more(node: Node) -> None:
    """By form and API together; others go on, and so does all else of that source."""
    source = "127.0.4.1"
    body = json.dumps(SAID).encode()
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answers = http(node, source, *[get("/v1/complaints", "POST", head) + body] * (limits.COMPLAINTS + 3))
    statuses = [status for status, _, _ in answers]
    assert statuses == [201] * limits.COMPLAINTS + [429] * 3
    assert int(answers[-1][1]["Retry-After"]) == limits.COMPLAINTS_S // limits.COMPLAINTS
    form = urlencode(SAID).encode()
    head = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
    assert [status for status, _, _ in http(node, source, get("/complaints", "POST", head) + form)] == [429]
    assert [status for status, _, _ in http(node, "127.0.4.2", get("/complaints", "POST", head) + form)] == [303]
    assert [status for status, _, _ in http(node, source, get("/complaints"))] == [200]


def test_a_source_looks_up_so_many_tickets_and_no_more(node: Node) -> None:
    """Nobody finds one by trying."""
    path = get("/v1/complaints/C20261121-2222222222")
    statuses = [status for status, _, _ in http(node, "127.0.4.3", *[path] * (limits.LOOKUPS + 10))]
    assert set(statuses) == {404, 429}
    assert [status for status, _, _ in http(node, "127.0.4.3", get("/complaints?ticket=C1"))] == [429]


def test_complaints_are_counted(node: Node) -> None:
    """By state, from the start; an overdue one is seen where the node is told that it is later."""
    before = metrics(node)
    ticket = node.ask("POST", "/v1/complaints", SAID).json["ticket"]
    after = metrics(node)
    assert after['saltern_complaints{state="received"}'] == before['saltern_complaints{state="received"}'] + 1
    assert after["saltern_complaints_overdue"] == 0
    do(node, "complaint", "accept", ticket)
    assert metrics(node)['saltern_complaints{state="accepted"}'] == before['saltern_complaints{state="accepted"}'] + 1


def test_who_complained_lies_nowhere_in_the_clear(node: Node) -> None:
    """Neither in the store, nor in the journal, the logs, or anything else that the node keeps."""
    node.ask("POST", "/v1/complaints", SAID | CONTACT)
    assert post(node, SAID | CONTACT).status == 303
    assert post(node, SAID | CONTACT | {"kind": ""}).status == 400
    operator = do(node, "token", "issue", "--role", "operator", "--holder", CLERK)["secret"]
    headers = {"Authorization": f"Bearer {operator}", "Idempotency-Key": "k"}
    assert node.ask("POST", "/v1/complaints", SAID | CONTACT, headers).status == 201
    secrets = [text.encode() for text in CONTACT.values()]
    files = [path for path in node.folder.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files]
    assert any(SAID["text"].encode() in content for content in contents)
    assert not [secret for secret in secrets for content in contents if secret in content]
    assert SAID["text"] not in node.log()
    assert not [secret for secret in CONTACT.values() if secret in json.dumps(metrics(node))]
    journal = json.dumps(do(node, "journal", "--count", "1000"), ensure_ascii=False)
    assert not [secret for secret in (*CONTACT.values(), SAID["text"]) if secret in journal]


def test_what_was_filed_survives_a_kill(node: Node) -> None:
    """SIGKILL of all processes right behind the answer."""
    filed = node.ask("POST", "/v1/complaints", SAID | CONTACT)
    node.stop(signal.SIGKILL)
    node.start()
    ticket = filed.json["ticket"]
    assert node.ask("GET", f"/v1/complaints/{ticket}").json == filed.json
    assert do(node, "complaint", "show", ticket, "--contact")["contact"] == CONTACT
    node.fsck()


# --- in a browser --------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


def shot(tab: Any, name: str) -> None:
    """Keep a picture where SALTERN_SCREENSHOTS names a folder."""
    if SHOTS:
        tab.screenshot(Path(SHOTS) / f"{name}.png")


@needs_chromium
@pytest.mark.parametrize(
    ("size", "dark"), [(PHONE, False), (PHONE, True), (DESKTOP, False)], ids=["phone", "dark", "desktop"]
)
def test_a_person_complains(node: Node, browser: Chromium, size: tuple[int, int], dark: bool) -> None:
    """With two faults, which stand beside their fields; then right; then how it stands. Without a script."""
    name = f"{size[0]}-{'dark' if dark else 'light'}"
    tab = browser.tab(size, scripting=False, dark=dark)
    tab.open(f"http://127.0.0.1:{node.ready['http']}/complaints")
    shot(tab, f"complaints-{name}-1-form")
    assert (tab.overflow, tab.problems) == (0, [])
    tab.fill("#text", SAID["text"])
    tab.fill("#subject", SAID["subject"])
    tab.fill("#email", "ouyang@@example")
    tab.click("form[method=post] button")
    tab.loaded()
    shot(tab, f"complaints-{name}-2-faults")
    assert (tab.overflow, tab.problems) == (0, [])
    invalid = "[...document.querySelectorAll('[aria-invalid]')].map(each => each.id).join()"
    assert tab.evaluate(invalid) == "kind,email"
    assert "An e-mail address" in tab.text or "an e-mail address" in tab.text
    for field, value in {"text": SAID["text"], "subject": SAID["subject"], "email": "ouyang@@example"}.items():
        assert tab.evaluate(f"document.getElementById('{field}').value") == value
    tab.evaluate("document.getElementById('kind').value = 'wrong-data'; document.getElementById('email').value = ''")
    tab.fill("#email", CONTACT["email"])
    tab.click("form[method=post] button")
    tab.loaded()
    shot(tab, f"complaints-{name}-3-ticket")
    assert (tab.overflow, tab.problems) == (0, [])
    ticket = parse_qs(urlsplit(tab.address).query)["ticket"][0]
    assert ticket in tab.text
    do(node, "complaint", "accept", ticket)
    do(node, "complaint", "answer", ticket, "--text", "已更正，谢谢。Corrected, thank you.\n第二行")
    tab.open(f"http://127.0.0.1:{node.ready['http']}/complaints")
    tab.fill("#ticket", ticket.lower())
    tab.click("form[method=get] button")
    tab.loaded()
    shot(tab, f"complaints-{name}-4-reply")
    assert "Corrected, thank you." in tab.text
    assert (tab.overflow, tab.problems) == (0, [])


@needs_chromium
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_registration_data_in_a_browser(node: Node, browser: Chromium, size: tuple[int, int]) -> None:
    """A page, and from it the form with the prefix filled in."""
    tab = browser.tab(size, scripting=False)
    tab.open(f"http://127.0.0.1:{node.ready['http']}/prefixes/{OWN}")
    shot(tab, f"prefix-{size[0]}")
    assert "已启用 active" in tab.text
    assert (tab.overflow, tab.problems) == (0, [])
    tab.click("main p a")
    tab.loaded()
    assert tab.evaluate("document.getElementById('subject').value") == OWN
