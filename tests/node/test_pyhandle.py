"""`pyhandle`, the client library that registries use, against a running node over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.node import Node

pyhandle = pytest.importorskip("pyhandle")
PREFIX = "88.9999.1"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("pyhandle") / "node", PREFIX, http__plain_auth="never") as running:
        yield running


@pytest.fixture(scope="module")
def client(node: Node) -> Any:
    from pyhandle.handleclient import PyHandleClient

    return PyHandleClient("rest").instantiate_with_username_and_password(
        f"https://localhost:{node.ready['https']}",
        f"301:0.NA/{PREFIX}",
        node.secret,
        HTTPS_verify=str(node.folder / "keys" / "tls.crt"),
        handleowner=f"200:0.NA/{PREFIX}",
    )


def test_a_record_lives_and_ends(client: Any) -> None:
    """Register, read, modify, add, remove a value, delete."""
    handle = f"{PREFIX}/salt-1"
    assert client.register_handle(handle, "https://example.cn/salt/1", CHECKSUM="abc") == handle
    assert client.get_value_from_handle(handle, "URL") == "https://example.cn/salt/1"
    client.modify_handle_value(handle, URL="https://example.cn/salt/2", DESC="加碘食用盐")
    record = client.retrieve_handle_record(handle)
    assert record["URL"] == "https://example.cn/salt/2"
    assert record["DESC"] == "加碘食用盐"
    client.delete_handle_value(handle, "DESC")
    assert "DESC" not in client.retrieve_handle_record(handle)
    client.delete_handle(handle)
    assert client.retrieve_handle_record_json(handle) is None


def test_registering_what_exists_is_refused(client: Any) -> None:
    """409 is what the library takes for it; overwriting is possible when asked."""
    from pyhandle.handleexceptions import HandleAlreadyExistsException

    handle = f"{PREFIX}/salt-2"
    client.register_handle(handle, "https://example.cn/a")
    with pytest.raises(HandleAlreadyExistsException):
        client.register_handle(handle, "https://example.cn/b")
    client.register_handle(handle, "https://example.cn/b", overwrite=True)
    assert client.get_value_from_handle(handle, "URL") == "https://example.cn/b"


def test_a_generated_handle_is_registered(client: Any) -> None:
    """The library makes the suffix."""
    handle = client.generate_and_register_handle(PREFIX, "https://example.cn/generated")
    assert handle.startswith(f"{PREFIX}/")
    assert client.get_value_from_handle(handle, "URL") == "https://example.cn/generated"


def test_handles_are_found_by_listing_the_prefix(client: Any, node: Node) -> None:
    """The library's own search needs a reverse look-up servlet; the listing of the interface serves."""
    import requests

    for number in range(3):
        client.register_handle(f"{PREFIX}/LIST-{number}", "https://example.cn", overwrite=True)
    reply = requests.get(
        f"https://localhost:{node.ready['https']}/api/handles",
        {"prefix": PREFIX},
        headers=node.admin(),
        verify=str(node.folder / "keys" / "tls.crt"),
        timeout=10,
    )
    assert {f"{PREFIX}/LIST-{number}" for number in range(3)} <= set(reply.json()["handles"])


def test_a_wrong_password_is_refused(node: Node) -> None:
    """As the library expects: its own exception for it."""
    from pyhandle.handleclient import PyHandleClient
    from pyhandle.handleexceptions import HandleAuthenticationError

    wrong = PyHandleClient("rest").instantiate_with_username_and_password(
        f"https://localhost:{node.ready['https']}", f"301:0.NA/{PREFIX}", "wrong",
        HTTPS_verify=str(node.folder / "keys" / "tls.crt"),
    )  # fmt: skip
    with pytest.raises(HandleAuthenticationError):
        wrong.register_handle(f"{PREFIX}/never", "https://example.cn")
    assert node.get(f"{PREFIX}/never").status == 404
