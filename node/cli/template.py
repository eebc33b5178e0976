"""``saltern template``: metadata templates: file, publish, withdraw, show and list them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, Final

import click

from core.store.engine import Table
from core.store.template_rows import unpack_template
from core.wire.metadata import code_range, is_code
from node.cli.acts import Desk, governed, read_form
from node.cli.common import Commands, F, dry_run_option, print_json
from registry.commands import AddTemplate, PublishTemplate, WithdrawTemplate
from registry.documents import template_document, template_summary
from registry.templates import by_version, newest, not_found, same_version

_STATES: Final = {"draft": "草稿", "published": "已发布", "withdrawn": "已撤回"}

code_argument = click.argument("code", metavar="CODE")


def _version_option(what: str) -> Callable[[F], F]:
    return click.option("--version", "version", default="", metavar="V", help=f"模板版本；{what}.")


@click.group(cls=Commands)
def template() -> None:
    """元数据模板：登记、发布、撤回、查看。Metadata templates: add, publish, withdraw, show, list."""


@template.command()
@click.option(
    "--file", "file", type=click.File("rb"), required=True,
    help="模板的 JSON 对象，- 为标准输入 The template, a JSON object; - is standard input.",
)  # fmt: skip
@dry_run_option
@governed
def add(desk: Desk, file: BinaryIO, dry_run: bool) -> None:
    """登记一个模板版本，作为草稿。File a version of a template as a draft.

    Every fault is told at once, and then nothing is stored. A draft is replaced by adding it again;
    what was published never changes. The form: docs/reference/templates.md.

    Example: saltern template add --file template.json --config my-node/node.toml
    """
    told = desk.run(AddTemplate(read_form(file)), dry_run=dry_run)
    desk.say(told, f"{'可登记 Would be filed' if dry_run else '已登记 Filed'}: {_named(told)}")


@template.command()
@code_argument
@_version_option("默认最新的草稿 the newest draft by default")
@governed
def publish(desk: Desk, code: str, version: str) -> None:
    """发布草稿；此后不再更改。Publish a draft: from now on records may be bound to it, and it never changes.

    Example: saltern template publish SALT-PRODUCT --config my-node/node.toml
    """
    told = desk.run(PublishTemplate(code, version))
    desk.say(told, f"已发布 Published: {_named(told)}")


@template.command()
@code_argument
@_version_option("默认全部已发布版本 all that are published by default")
@governed
def withdraw(desk: Desk, code: str, version: str) -> None:
    """撤回：不再接受新的登记，已登记的不变。Withdraw: new registrations are refused, what is bound stays.

    Example: saltern template withdraw SALT-PRODUCT --version 1.0 --config my-node/node.toml
    """
    told = desk.run(WithdrawTemplate(code, version))
    desk.say(told, f"已撤回 Withdrawn: {_named(told)}")


@template.command()
@code_argument
@_version_option("默认最新发布的 the newest published by default")
@governed
def show(desk: Desk, code: str, version: str) -> None:
    """显示一个模板版本。Show a version of a template.

    Example: saltern template show SALT-PRODUCT --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        scanned = list(snapshot.scan(Table.TEMPLATES, *code_range(code))) if is_code(code) else []
    versions = by_version(unpack_template(row) for _, row in scanned)
    found = same_version(versions, version)
    if not found:
        raise not_found(code)
    document = template_document(newest(found), versions)
    if desk.as_json:
        print_json(document)
        return
    items, states = document.pop("items"), document.pop("versions")
    document["industry"] = " / ".join(code or "-" for code in document["industry"].values())
    for name, value in document.items():
        click.echo(f"{name}: {value or '-'}")
    for item in items:
        needed = "必填 required" if item["required"] else "选填 optional"
        unit = f" {item['unit']}" if item["unit"] else ""
        click.echo(f"  {item['name']} {item['alias']}: {item['type']}({item['length']}){unit}, {needed}")
    click.echo("versions 版本: " + ", ".join(f"{each['version']} {_STATES[each['state']]}" for each in states))


@template.command("list")
@governed
def list_templates(desk: Desk) -> None:
    """列出模板的各个版本。List the versions of all templates.

    Example: saltern template list --config my-node/node.toml
    """
    with desk.reading() as snapshot:
        listed = [template_summary(unpack_template(row)) for _, row in snapshot.scan(Table.TEMPLATES, b"")]
    if desk.as_json:
        print_json(listed)
        return
    for each in listed:
        state = f"{_STATES[each['state']]} {each['state']}"
        click.echo(f"{each['code']}@{each['version']}  {state}  {each['object_type']}  {each['name'] or ''}".rstrip())


def _named(told: dict[str, Any]) -> str:
    return ", ".join(f"{told['code']}@{version}" for version in told["versions"])
