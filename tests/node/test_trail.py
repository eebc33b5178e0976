"""What `saltern changes` and `saltern journal` show of a long list, and how the rest is found."""

from __future__ import annotations

import json

import pytest

from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
RECORDS = 6


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    made = Node(tmp_path_factory.mktemp("trail") / "node", PREFIX)
    for number in range(RECORDS):
        saltern("hold", "place", f"{PREFIX}/{number}", "--order", f"{number}", "--reason", "x", *config(made))
    return made


def config(node: Node) -> tuple[str, str]:
    return "--config", str(node.config)


def listed(node: Node, *arguments: str) -> tuple[list[int], str]:
    """Return the numbers that are listed, and what is said of others."""
    done = saltern(*arguments, "--json", *config(node))
    numbers = [each.get("number", each.get("serial")) for each in json.loads(done.stdout)]
    return numbers, done.stderr.decode()


@pytest.mark.parametrize("command", ["changes", "journal"])
def test_the_newest_are_shown_and_the_rest_can_be_reached(node: Node, command: str) -> None:
    """Ascending, as tail shows them; with --after those behind it, and what to go on with."""
    everything, said = listed(node, command, "--after", "0")
    last = everything[-1]
    assert (everything, said) == (list(range(1, last + 1)), "")
    assert last >= RECORDS
    newest, said = listed(node, command, "--count", "2")
    assert newest == [last - 1, last]
    assert "最新的 2 条" in said
    assert "--after 0" in said
    first, said = listed(node, command, "--after", "1", "--count", "2")
    assert first == [2, 3]
    assert f"{last - 3} more follow: go on with --after 3" in said
    assert listed(node, command, "--after", "3")[0] == everything[3:]
    assert listed(node, command, "--after", str(last)) == ([], "")
    assert listed(node, command, "--count", str(last)) == (everything, "")


def test_the_history_of_a_prefix_that_nobody_knows_is_refused(node: Node) -> None:
    """Exit code 1; one that did not come by a transfer has none, and says so."""
    done = saltern("prefix", "history", "88.118.999", *config(node), check=False)
    assert (done.returncode, json.loads(done.stdout)["rule"]) == (1, "prefix-not-found")
    assert "没有随转移而来的历史" in saltern("prefix", "history", PREFIX, *config(node)).stdout.decode()
    assert json.loads(saltern("prefix", "history", PREFIX, "--json", *config(node)).stdout) == []
