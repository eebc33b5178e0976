"""The description of our own API: valid, complete, and held by a real node that is asked whatever it allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.party.fields import FIELDS
from node import VERSION
from node.routes import BATCH_PATH
from registry.management import OPERATIONS
from registry.openapi import document
from registry.roles import CALL_NAMED
from tests.kit.governance import INCIDENT
from tests.kit.management import DIGEST, FORMS
from tests.kit.node import Node, saltern
from tests.kit.templates import CODE, template_members

DOCUMENT = document(VERSION)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
DESCRIBED = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
PREFIX = "88.118"


class Asked:
    """A node, and tokens by their roles."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.url = f"http://127.0.0.1:{node.ready['http']}"
        self.session = requests.Session()
        self.headers = {role: self._token(role, f"{role}甲") for role in ("operator", "auditor", "reviewer")}
        self.headers |= {"second": self._token("reviewer", "审核丙"), "nobody": {}}

    def _token(self, role: str, holder: str) -> dict[str, str]:
        arguments = ("token", "issue", "--role", role, "--holder", holder, "--actor", "经办人")
        told = saltern(*arguments, "--config", str(self.node.config), "--json").stdout
        return {"Authorization": f"Bearer {json.loads(told)['secret']}"}

    def validated(self, case: Any, role: str) -> Any:
        """Make a call and hold its answer to the description."""
        answer = case.call(base_url=self.url, session=self.session, headers=self.headers[role])
        case.validate_response(answer, checks=CHECKS)
        return answer

    def call(self, label: str, role: str, body: object = None, **values: str) -> Any:
        """Make one call that succeeds; return what it answers."""
        sent = {} if body is None else {"body": body, "media_type": "application/json"}
        answer = self.validated(DESCRIBED[label].Case(path_parameters=values, **sent), role)
        assert answer.status_code < 300, (label, answer.status_code, answer.text)
        return answer.json()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Node(tmp_path_factory.mktemp("openapi") / "node", PREFIX) as running:
        yield Asked(running)
        assert "Traceback" not in running.log()
        assert "ticket" not in running.log()
        running.fsck()


def test_it_is_openapi() -> None:
    validate(DOCUMENT)


def test_it_names_every_call_and_every_field() -> None:
    """Once each; and what is not a call of the table is the batch, resolution and what load balancers ask."""
    named = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()
             if isinstance(operation, dict)]  # fmt: skip
    calls = [operation.call for operation in OPERATIONS]
    assert sorted(named) == sorted([*calls, "record.write", "resolve", "health", "readiness"])
    assert set(calls) <= set(CALL_NAMED)
    form = DOCUMENT["components"]["schemas"]["PartyForm"]
    assert {field.name: field.label for field in FIELDS}.items() <= {
        name: schema.get("description") for name, schema in form["properties"].items()
    }.items()
    assert form["required"] == [field.name for field in FIELDS if field.required]
    assert BATCH_PATH in DOCUMENT["paths"]


def test_a_node_serves_it_to_anybody(asked: Asked) -> None:
    answer = asked.node.ask("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == json.loads(json.dumps(DOCUMENT))
    assert asked.node.ask("POST", "/openapi.json", b"").status == 405


def test_every_call_answers_as_described(asked: Asked) -> None:
    """All of them, done once by whoever may, in the order in which a prefix comes about."""
    filed = asked.call("POST /v1/parties", "operator", FORMS[0])
    party = {"party": filed["party"]}
    asked.call("PATCH /v1/parties/{party}", "operator", {"profile": "新的简介"}, **party)
    asked.call("POST /v1/parties/{party}/confirmations", "operator", **party)
    issued = asked.call("POST /v1/tokens", "operator", {"role": "enterprise", "holder": "企业员工", "days": 2, **party})
    for reviewer in ("reviewer", "second"):
        sent = {"method": "manual", "evidence_sha256": DIGEST}
        verified = asked.call("POST /v1/parties/{party}/verifications", reviewer, sent, **party)
    assert verified["verification"] == "verified"
    prefix = {"prefix": f"{PREFIX}.7"}
    asked.call("PUT /v1/prefixes/{prefix}/application", "operator", {**party, "hosting": "hosted"}, **prefix)
    asked.call("POST /v1/prefixes/{prefix}/reviews", "reviewer", {"approve": True}, **prefix)
    reason = {"reason": "检查", "evidence_sha256": DIGEST}
    for move in ("suspension", "resumption", "deletion"):
        asked.call(f"POST /v1/prefixes/{{prefix}}/{move}", "operator", reason, **prefix)
    delegated, own = {"prefix": f"{PREFIX}.8"}, asked.node.ask("GET", "/api/site").json["site"]
    asked.call("PUT /v1/prefixes/{prefix}/application", "operator", {**party, "hosting": "delegated"}, **delegated)
    asked.call("POST /v1/prefixes/{prefix}/reviews", "reviewer", {"approve": True}, **delegated)
    for server in own["servers"]:
        server["address"] = "10.1.2.3"
    asked.call("PUT /v1/prefixes/{prefix}/site", "operator", own, **delegated)
    asked.call("DELETE /v1/tokens/{token}", "operator", token=issued["token"])
    complaint = {"kind": "service", "text": "太慢", "subject": PREFIX, "phone": "13800138000"}
    ticket = {"ticket": asked.call("POST /v1/complaints", "nobody", complaint)["ticket"]}
    asked.call("GET /v1/complaints/{ticket}", "nobody", **ticket)
    asked.call("POST /v1/complaints/{ticket}/acceptance", "operator", **ticket)
    asked.call("POST /v1/complaints/{ticket}/answer", "operator", {"text": "已改善"}, **ticket)
    asked.call("POST /v1/complaints/{ticket}/closure", "operator", **ticket)
    other = {"ticket": asked.call("POST /v1/complaints", "operator", {"kind": "other", "text": "x"})["ticket"]}
    asked.call("POST /v1/complaints/{ticket}/rejection", "operator", {"reason": "内容不明"}, **other)
    assert asked.call("GET /v1/complaints/{ticket}/history", "auditor", **ticket)["state"] == "closed"
    asked.call("GET /v1/parties/{party}", "auditor", **party)
    asked.call("GET /v1/prefixes/{prefix}", "auditor", **delegated)
    opened = asked.call("POST /v1/incidents", "operator", json.loads(INCIDENT))
    about = {"incident": opened["incident"]}
    asked.call("PATCH /v1/incidents/{incident}", "operator", {"cause": "供电", "measures": ["换电源"]}, **about)
    signed = asked.call("POST /v1/incidents/{incident}/reports", "operator", {"to": "省通信管理局"}, **about)
    assert asked.call("GET /v1/incidents/{incident}/reports/{revision}", "auditor", revision="1", **about) == signed
    asked.call("POST /v1/incidents/{incident}/closure", "operator", **about)
    assert asked.call("GET /v1/incidents/{incident}", "reviewer", **about)["state"] == "closed"
    asked.call("POST /v1/templates", "operator", template_members())
    template = {"code": CODE}
    asked.call("POST /v1/templates/{code}/publications", "operator", {"version": "1.0"}, **template)
    asked.call("GET /v1/templates/{code}", "auditor", **template)
    asked.call("POST /v1/templates/{code}/withdrawals", "operator", {}, **template)
    held = {"target": "88.118.7/X", "order": "令1"}
    asked.call("POST /v1/holds", "operator", held | {"reason": "测试", "public": True})
    asked.call("POST /v1/holds", "operator", held | {"order": "令2", "reason": "测试"})
    asked.call("POST /v1/holds/liftings", "operator", held)
    log = {"log": "change/2026-03", "order": "令1"}
    asked.call("POST /v1/log-holds", "operator", log | {"reason": "测试"})
    asked.call("POST /v1/log-holds", "operator", log | {"order": "令2", "reason": "测试"})
    asked.call("POST /v1/log-holds/releases", "operator", log)
    asked.call("POST /v1/lots", "operator", {"lot": f"{PREFIX}/L1", "product": f"{PREFIX}/X", "count": 100})
    lot = {"lot": f"{PREFIX}/L1"}
    asked.call("POST /v1/lots/{lot}/blocks", "operator", {"line": "L4", "count": 7}, **lot)
    unit = asked.call("GET /v1/lots/{lot}/codes", "operator", **lot)["codes"][0]["identifier"]
    events = [{"event": "commissioned", "identifier": unit, "time": "2026-01-01T08:00:00Z"}] * 2
    assert asked.call("POST /v1/lots/{lot}/events", "operator", events, **lot)["counts"] == {"ok": 1, "unchanged": 1}
    assert asked.call("GET /v1/units/{unit}", "auditor", unit=unit)["state"] == "commissioned"
    assert asked.call("GET /v1/lots/{lot}", "auditor", **lot)["allocated"] == 7
    assert asked.call("GET /v1/lots/{lot}/blocks", "auditor", **lot)["blocks"][0]["line"] == "L4"
    for name in ("gtin+lot:06901234567892/L1", "oid:1.2.156.1"):
        asked.call("POST /v1/aliases", "operator", {"identifier": lot["lot"], "alias": name})
    asked.call("DELETE /v1/aliases/{alias}", "operator", alias="gtin+lot:06901234567892/L1")
    for path in (
        "aliases",
        "lots",
        "parties",
        "prefixes",
        "tokens",
        "templates",
        "holds",
        "log-holds",
        "incidents",
        "complaints",
        "changes",
        "journal",
    ):
        assert len(next(iter(asked.call(f"GET /v1/{path}", "auditor").values()))) > 0
    records = [{"handle": f"{PREFIX}/X", "values": [{"index": 1, "type": "URL", "data": "https://x.cn"}]}]
    assert asked.call("POST /v1/records:batch", "operator", records)["counts"] == {"created": 1}
    for path in ("healthz", "readyz"):
        answer = DESCRIBED[f"GET /{path}"].Case().call(base_url=asked.url)
        assert answer.text == "ok\n"


@pytest.mark.parametrize("role", ["operator", "auditor", "nobody"])
@pytest.mark.parametrize("label", DESCRIBED)
def test_whatever_is_asked_is_answered_as_described(asked: Asked, label: str, role: str) -> None:
    """Right and wrong requests: no status, no media type and no member that the description does not have."""
    operation = DESCRIBED[label]
    examples = settings(
        max_examples=15 if role == "operator" else 4, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body or operation.path_parameters):
            continue

        @examples
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            asked.validated(case, role)

        ask()
