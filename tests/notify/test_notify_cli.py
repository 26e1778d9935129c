"""`blok365 account invite`: by mail, or shown; never both."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import accounts
from services.admin import app, handlers
from services.admin.handlers import NewAccount
from services.admin.ports import Dependencies
from tests.world import InMemorySystem, make_system


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InMemorySystem:
    """contoso and the invited Ada, and the command line working on them."""
    made = make_system(tmp_path)
    admin = app.build(made.platform).dependencies

    async def prepare() -> None:
        await handlers.create_tenant(admin, "contoso", "Contoso")
        await handlers.add_domain(admin, "contoso", "contoso.example")
        ada = NewAccount("ada@contoso.example", "Ada", "Lovelace", "ada@private.example")
        await handlers.create_account(admin, "contoso", ada)

    asyncio.run(prepare())

    def with_admin(_: object, work: Callable[[Dependencies], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work(admin)

        return asyncio.run(run())

    monkeypatch.setattr(accounts, "with_admin", with_admin)
    return made


def invite(*options: str) -> str:
    result = CliRunner().invoke(
        accounts.accounts, ["invite", "ada@contoso.example", "-t", "contoso", *options]
    )
    assert result.exit_code == 0, result.output
    return result.output


def mails(world: InMemorySystem) -> int:
    outboxes = [d["outbox"] for d in world.documents("admin", "invitations")]
    return sum(entry["type"] == "notify.mail.send.v1" for outbox in outboxes for entry in outbox)


def test_an_invitation_goes_by_mail_and_its_link_is_not_shown(world: InMemorySystem) -> None:
    for options in ((), ("--json",)):
        said = invite(*options)
        assert "#i=" not in said
    assert mails(world) == 2


def test_a_link_that_is_shown_is_not_mailed(world: InMemorySystem) -> None:
    assert "/#i=" in invite("--show-link")
    assert "/#i=" in json.loads(invite("--show-link", "--json"))["link"]
    assert mails(world) == 0


def test_a_new_person_is_invited_the_same_way(world: InMemorySystem) -> None:
    new = ["--first", "Bob", "--last", "Test", "--email", "bob@private.example", "-t", "contoso"]
    for name, option, count in (("bob", [], 1), ("bab", ["--show-link"], 1), ("bub", ["--no-invite"], 1)):
        result = CliRunner().invoke(accounts.accounts, ["add", f"{name}@contoso.example", *new, *option])
        assert result.exit_code == 0, result.output
        assert ("#i=" in result.output) is ("--show-link" in option)
        assert mails(world) == count
