"""A node behind the nginx of deploy/nginx.conf: who asks, whether he came by HTTPS, and what he asked."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import Node, Reply, admin_value, basic, saltern

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
CONFIGURATION = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"
CLIENT = "127.0.0.9"
FORGED = "198.51.100.77"
ADMIN = "301:0.NA/88.118"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(
        tmp_path_factory.mktemp("proxied") / "node", "88.118", http__trusted_proxies=["127.0.0.1"],
        http__plain_auth="never",
    )  # fmt: skip
    with made:
        yield made


@pytest.fixture(scope="module")
def ports(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Run nginx with our configuration, but for ports, addresses and the certificate; give HTTP and HTTPS port."""
    folder = tmp_path_factory.mktemp("nginx")
    plain, secure = free_port(), free_port()
    text = CONFIGURATION.read_text("utf-8")
    for line in ("    listen [::]:80;\n", "    listen [::]:443 ssl;\n"):
        text = text.replace(line, "")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{plain};").replace(
        "listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"
    )
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{node.ready['http']}")
    text = text.replace("/etc/ssl/saltern/fullchain.pem", str(node.folder / "keys" / "tls.crt"))
    text = text.replace("/etc/ssl/saltern/key.pem", str(node.folder / "keys" / "tls.key"))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        await_port(secure, process)
        yield plain, secure
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens. Errors: AssertionError where the process ends before."""
    while process.poll() is None:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
    assert process.stderr is not None
    raise AssertionError(process.stderr.read().decode())


def ask(port: int, method: str, target: str, body: Any = None, **headers: str) -> Reply:
    """Ask nginx by HTTPS, from CLIENT."""
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context, source_address=(CLIENT, 0))
    sent = None if body is None else json.dumps(body).encode()
    connection.request(method, target, sent, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    reply = Reply(answer.status, answer.headers, answer.read())
    connection.close()
    return reply


def test_credentials_that_came_by_https_are_taken(node: Node, ports: tuple[int, int]) -> None:
    """By the proxy's word alone: without it plain HTTP is plain."""
    secret = node.admin() | {"Content-Type": "application/json"}
    values = {"values": [admin_value(ADMIN.partition(":")[2])]}
    assert ask(ports[1], "PUT", "/api/handles/88.118/BY-PROXY", values, **secret).status == 201
    plain = http.client.HTTPConnection("127.0.0.1", node.ready["http"])
    plain.request("PUT", "/api/handles/88.118/PLAIN", json.dumps(values).encode(), secret)
    assert plain.getresponse().status in (401, 403)
    plain.close()
    wrong = ask(ports[1], "PUT", "/api/handles/88.118/WRONG", values, **(secret | basic(ADMIN, "wrong")))
    assert wrong.status == 401


def test_plain_http_is_sent_to_https(ports: tuple[int, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ports[0])
    connection.request("GET", "/88.118/A")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://127.0.0.1/88.118/A")
    connection.close()


def test_the_log_says_who_asked_and_not_what_he_says_of_himself(node: Node, ports: tuple[int, int]) -> None:
    """The proxy's word is taken, a client's own is dropped on the way; straight at the node it is not read."""
    target = "/api/handles/88.118/A//b%2Fc%20%E7%9B%90"
    assert ask(ports[1], "GET", target, X_Forwarded_For=FORGED).status == 404
    direct = http.client.HTTPConnection("127.0.0.1", node.ready["http"], source_address=("127.0.0.8", 0))
    direct.request("GET", "/api/handles/88.118/DIRECT", headers={"X-Forwarded-For": FORGED})
    assert direct.getresponse().status == 404
    direct.close()
    node.stop()  # what it left is published by whoever asks then
    found = saltern("log", "query", "--stream", "resolution", "--json", "--config", str(node.config)).stdout
    rows = {each["obj"]: each["from"]["net"] for each in map(json.loads, found.decode().splitlines())}
    assert rows["88.118/A//b/c 盐"] == "127.0.0.0/24"
    asked = {
        address: saltern(
            "log", "query", "--stream", "resolution", "--client", address, "--json", "--config", str(node.config)
        ).stdout.decode()
        for address in (CLIENT, FORGED, "127.0.0.8", "127.0.0.1")
    }
    assert "88.118/A//b/c 盐" in asked[CLIENT] and "DIRECT" in asked["127.0.0.8"]
    assert FORGED not in found.decode() and not asked[FORGED].strip() and not asked["127.0.0.1"].strip()
