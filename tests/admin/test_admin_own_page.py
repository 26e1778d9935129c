"""What a person asks for on their own page, as it reaches admin: what a taken-over wsfed or approval could make of it.

Each command is said twice, and once more when it is late.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import rfc8785

from deploy.standins.phone.authenticator import UP, Key, Tamper, assertion
from services.admin import handlers
from shared.clock import iso_millis
from shared.contracts.admin import (
    AskedOnOwnPage,
    RemoveAuthenticator,
    RemoveOwnBrowser,
    RenameAuthenticator,
    SignOutPerson,
)
from shared.contracts.approval import Proof
from shared.contracts.wsfed import RemoveBrowser
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.test_admin_removal import Person, status

Command = AskedOnOwnPage | RemoveAuthenticator


@pytest.fixture
async def ada(system: AdminSystem) -> Person:
    return Person(system, (await system.account()).id)


def proof(
    system: AdminSystem, key: Key, *, at: str = "", tamper: Tamper | None = None, **other: Any
) -> Proof:
    """An approval on the phone, of a visit to the person's own page. `other`: fields of the context that differ."""
    fields: dict[str, str | int] = {
        "v": 2,
        "purpose": "approve",
        "origin": system.deps.origin,
        "tenant": key.tenant,
        "account": key.account,
        "realm": f"{system.deps.origin}/t/{key.tenant}/me",
        "application": "me",
        "issued_at": at or iso_millis(system.world.clock.now()),
        "code": "482913",
    }
    context = rfc8785.dumps({**fields, **other}).decode()
    digest = hashlib.sha256(context.encode()).digest()
    made = assertion(key.used(), digest, tamper or Tamper())["response"]
    return Proof(
        context=context,
        authenticator_data=made["authenticatorData"],
        client_data_json=made["clientDataJSON"],
        signature=made["signature"],
    )


def commands(system: AdminSystem, key: Key, target: str, shown: Proof) -> list[Command]:
    """One of each kind."""
    common: dict[str, Any] = {"account": key.account, "signed_by": key.device, "proof": shown}
    return [
        RenameAuthenticator(**common, authenticator=target, version=1, name="Renamed"),
        RemoveAuthenticator(**common, authenticator=target, version=1),
        RemoveOwnBrowser(**common, browser="browser", version=3),
        SignOutPerson(**common, session_epoch=0),
    ]


async def say(system: AdminSystem, command: Command, *, sender: str = "wsfed", tenant: str = CONTOSO) -> None:
    for _ in range(2):
        await system.world.say(sender, command, tenant)
    await system.world.settle()


async def state(system: AdminSystem, account: str, target: str) -> list[object]:
    """Everything that the four commands could change."""
    found = await system.deps.authenticators.get(CONTOSO, target)
    assert found is not None
    epoch = (await handlers.show_account(system.deps, CONTOSO, account)).session_epoch
    removals = [each for each in system.world.bus.sent if each.type == RemoveBrowser.TYPE]
    return [found.name, found.status.value, epoch, len(removals)]


async def test_each_act_is_done_once(system: AdminSystem, ada: Person) -> None:
    key, _ = await ada.phone("kept"), await ada.phone("lost")
    rename, remove, browser, sign_out = commands(system, key, "lost", proof(system, key))
    assert isinstance(remove, RemoveAuthenticator)
    await say(system, rename)
    assert await state(system, key.account, "lost") == ["Renamed", "trusted", 0, 0]
    await say(system, remove)  # of the version before the new name
    assert await status(system, "lost") == ("trusted", "")
    await say(system, remove.model_copy(update={"version": 2}))
    assert await status(system, "lost") == ("revoked", "person")
    await say(system, browser)
    await say(system, sign_out)
    assert (await state(system, key.account, "lost"))[2:] == [1, 1 * 2]


async def test_a_copy_of_a_browsers_removal_is_one_message(system: AdminSystem, ada: Person) -> None:
    key = await ada.phone("kept")
    command = commands(system, key, "kept", proof(system, key))[2]
    signed = system.world.signer("wsfed").sign(command, tenant=CONTOSO)
    for later in (0, 0, 300):
        system.world.clock.advance(later)
        await system.world.bus.publish([signed])
        await system.world.settle()
    assert [each.type for each in system.world.bus.sent].count(RemoveBrowser.TYPE) == 1


async def test_a_passkey_on_the_sign_in_page_is_a_proof_of_its_own_purpose(
    system: AdminSystem, ada: Person
) -> None:
    key = await ada.phone("kept")
    there = replace(key, origin=system.deps.origin)
    shown = proof(system, there, purpose="sign-in")
    await say(system, commands(system, key, "kept", shown)[0])
    assert (await state(system, key.account, "kept"))[0] == "Renamed"


Lie = Callable[[AdminSystem, Key], Proof]
LIES: dict[str, Lie] = {
    "a sign-in to Microsoft 365": lambda s, k: proof(s, k, realm="urn:federation:MicrosoftOnline"),
    "another tenant's page": lambda s, k: proof(
        s, k, realm=f"{s.deps.origin}/t/{FABRIKAM}/me", tenant=FABRIKAM
    ),
    "another account": lambda s, k: proof(s, k, account="somebody"),
    "another host": lambda s, k: proof(s, k, origin="https://evil.example"),
    "a passkey's purpose, made on the phone": lambda s, k: proof(s, k, purpose="sign-in"),
    "an approval, made on the sign-in page": lambda s, k: proof(s, replace(k, origin=s.deps.origin)),
    "another page": lambda s, k: proof(s, replace(k, origin="https://evil.example")),
    "a session's purpose": lambda s, k: proof(s, k, purpose="session"),
    "a removal's purpose": lambda s, k: proof(s, k, purpose="remove"),
    "no purpose": lambda s, k: proof(s, k, purpose=None),
    "no time": lambda s, k: proof(s, k, issued_at="soon"),
    "a time without a zone": lambda s, k: proof(s, k, issued_at="2026-03-02T08:00:00"),
    "too old": lambda s, k: proof(
        s, k, at=iso_millis(s.world.clock.now() - timedelta(minutes=21, seconds=1))
    ),
    "from the future": lambda s, k: proof(s, k, at=iso_millis(s.world.clock.now() + timedelta(minutes=2))),
    "without user verification": lambda s, k: proof(s, k, tamper=Tamper(flags=UP)),
    "other octets than were signed": lambda s, k: proof(s, k, tamper=Tamper(challenge=bytes(32))),
    "a context that is not canonical": lambda s, k: _spaced(proof(s, k)),
    "no JSON": lambda s, k: proof(s, k).model_copy(update={"context": "["}),
    "no base64url": lambda s, k: proof(s, k).model_copy(update={"signature": "="}),
}


def _spaced(shown: Proof) -> Proof:
    return shown.model_copy(update={"context": shown.context.replace(":", ": ", 1)})


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_taken_over_wsfed_without_a_proof_of_a_visit_changes_nothing(
    system: AdminSystem, ada: Person, lie: str
) -> None:
    key, _ = await ada.phone("kept"), await ada.phone("lost")
    before = await state(system, key.account, "lost")
    for command in commands(system, key, "lost", LIES[lie](system, key)):
        await say(system, command)
    assert await state(system, key.account, "lost") == before
    assert len(system.world.bus.dead_letters) == 8


async def test_proof_of_one_person_does_nothing_for_another(system: AdminSystem, ada: Person) -> None:
    grace = Person(system, (await system.account("grace")).id)
    key, hers = await ada.phone("ada's"), await grace.phone("grace's")
    before = await state(system, grace.account, "grace's")
    shown = proof(system, key)
    for command in commands(system, key, "grace's", shown):
        await say(system, command.model_copy(update={"account": grace.account}))  # signed by Ada's
        lie = {"account": grace.account, "signed_by": hers.device}
        await say(system, command.model_copy(update=lie))
    for command in commands(system, key, "grace's", shown)[:2]:
        await say(system, command)  # in Ada's name, for Grace's phone
    assert await state(system, grace.account, "grace's") == before


async def test_phone_that_does_not_count_any_more_proves_nothing(system: AdminSystem, ada: Person) -> None:
    key, _ = await ada.phone("stolen"), await ada.phone("kept")
    shown = proof(system, key)
    await handlers.remove_device(system.deps, CONTOSO, key.account, "stolen")
    before = await state(system, key.account, "kept")
    for command in commands(system, key, "kept", shown):
        await say(system, command)
    assert await state(system, key.account, "kept") == before


async def test_command_in_another_tenants_name_changes_nothing(system: AdminSystem, ada: Person) -> None:
    key = await ada.phone("kept")
    before = await state(system, key.account, "kept")
    for command in commands(system, key, "kept", proof(system, key)):
        await say(system, command, tenant=FABRIKAM)
    assert await state(system, key.account, "kept") == before


async def test_taken_over_approval_uses_a_proof_that_it_saw_pass_for_nothing(
    system: AdminSystem, ada: Person
) -> None:
    key, _ = await ada.phone("kept"), await ada.phone("lost")
    rename, remove, browser, sign_out = commands(system, key, "lost", proof(system, key))
    await say(system, remove, sender="approval")
    assert await status(system, "lost") == ("trusted", "")
    for command in (rename, browser, sign_out):
        with pytest.raises(ValueError, match="send"):
            system.world.signer("approval").sign(command, tenant=CONTOSO)


async def test_a_late_sign_out_ends_nothing_that_was_begun_since(system: AdminSystem, ada: Person) -> None:
    key = await ada.phone("kept")
    command = commands(system, key, "kept", proof(system, key))[3]
    await say(system, command)
    link = await handlers.invite(system.deps, CONTOSO, key.account)
    system.world.clock.advance(240)
    await say(system, command)
    account = await handlers.show_account(system.deps, CONTOSO, key.account)
    assert account.session_epoch == 1
    found = await system.deps.invitations.get(CONTOSO, link.invitation.id)
    assert found is not None
    assert found.status == "open"


@pytest.mark.parametrize("name", ["\u200b", "   ", "\u202e"])
async def test_name_that_nobody_can_see_is_refused(system: AdminSystem, ada: Person, name: str) -> None:
    key = await ada.phone("kept")
    command = commands(system, key, "kept", proof(system, key))[0]
    await say(system, command.model_copy(update={"name": name}))
    assert (await state(system, key.account, "kept"))[0] == ""
