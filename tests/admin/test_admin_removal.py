"""`admin.authenticator.remove.v1`: a person removes a phone of their own, and admin verifies the assertion itself.

What a taken-over approval could do with it, each message twice and late.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from deploy.standins.phone.authenticator import Key, assertion, make_private_key
from services.admin import handlers
from shared.contracts.admin import RemoveAuthenticator
from shared.contracts.approval import DeviceChanged, Endorsement, Proof
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed
from shared.crypto.statement import Purpose, Statement
from shared.ids import SeededIds, b64u, unb64u
from tests.admin.conftest import CONTOSO, AdminSystem

SERVER_NONCE = b64u(b"server nonce")


@dataclass
class Person:
    """Somebody with phones whose keys the test holds."""

    system: AdminSystem
    account: str

    async def phone(self, name: str) -> Key:
        """A phone that admin trusts."""
        system = self.system
        link = await handlers.invite(system.deps, CONTOSO, self.account)
        key = Key(
            credential_id=b64u(name.encode()),
            private_key=make_private_key("ES256", SeededIds(name)),
            origin=min(system.deps.expected_origins),
            rp_id=system.deps.rp_id,
            tenant=CONTOSO,
            account=self.account,
            device=name,
        )
        claim = NewDeviceKey(CONTOSO, self.account, link.invitation.id, key.credential_id, key.spki)
        secret = key_from_seed(unb64u(link.url.rpartition(".")[2]))
        said = DeviceChanged(
            version=1,
            device=name,
            account=self.account,
            credential_id=key.credential_id,
            public_key=b64u(key.spki),
            endorsement=Endorsement(
                kind="invitation", by=link.invitation.id, signature=b64u(endorse(secret, claim))
            ),
            enrolled_at=system.world.clock.now(),
            status="active",
        )
        await system.world.say("approval", said)
        await system.world.settle()
        return key


@pytest.fixture
async def ada(system: AdminSystem) -> Person:
    return Person(system, (await system.account()).id)


def command(
    signer: Key, removed: str, *, version: int = 1, stated: dict[str, Any] | None = None, **changes: Any
) -> RemoveAuthenticator:
    """What approval sends when the person has signed with that phone. `stated`: fields of the statement."""
    fields: dict[str, Any] = {
        "purpose": Purpose.REMOVE,
        "origin": signer.origin,
        "rp_id": signer.rp_id,
        "nonce": b64u(bytes(32)),
        "server_nonce": SERVER_NONCE,
        "device": removed,
    }
    text = Statement(**(fields | (stated or {}))).text()
    made = assertion(signer.used(), hashlib.sha256(text.encode()).digest())["response"]
    honest = RemoveAuthenticator(
        authenticator=removed,
        account=signer.account,
        version=version,
        signed_by=signer.device,
        server_nonce=SERVER_NONCE,
        proof=Proof(
            context=text,
            authenticator_data=made["authenticatorData"],
            client_data_json=made["clientDataJSON"],
            signature=made["signature"],
        ),
    )
    return honest.model_copy(update=changes)


async def status(system: AdminSystem, authenticator: str) -> tuple[str, str]:
    found = await system.deps.authenticators.get(CONTOSO, authenticator)
    assert found is not None
    return found.status.value, found.reason


async def send(system: AdminSystem, message: RemoveAuthenticator, tenant: str = CONTOSO) -> None:
    """Twice, and once more the next day."""
    for _ in range(2):
        await system.world.say("approval", message, tenant)
    system.world.clock.advance(24 * 3600)
    await system.world.say("approval", message, tenant)
    await system.world.settle()


@pytest.mark.parametrize("which", ["kept", "lost"])
async def test_a_person_removes_a_phone_with_another_or_with_itself(
    system: AdminSystem, ada: Person, which: str
) -> None:
    phones = {name: await ada.phone(name) for name in ("kept", "lost")}
    await send(system, command(phones[which], "lost"))
    assert await status(system, "lost") == ("revoked", "person")
    assert await status(system, "kept") == ("trusted", "")
    assert system.world.bus.dead_letters == []


async def test_a_late_copy_removes_nothing_that_came_after(system: AdminSystem, ada: Person) -> None:
    kept = await ada.phone("kept")
    await ada.phone("lost")
    recorded = command(kept, "lost")
    await send(system, recorded)
    await ada.phone("new")
    await send(system, recorded)
    assert [await status(system, name) for name in ("kept", "new")] == [("trusted", "")] * 2


ATTACKS: dict[str, Callable[[Key], RemoveAuthenticator]] = {
    "an unlocking of BlokKey": lambda key: command(
        key, "lost", stated={"purpose": Purpose.SESSION, "device": None}
    ),
    "an approval": lambda key: command(key, "lost", stated={"purpose": Purpose.APPROVE}),
    "the removal of another phone": lambda key: command(key, "lost", stated={"device": "kept"}),
    "another origin": lambda key: command(key, "lost", stated={"origin": "https://evil.example"}),
    "another rp_id": lambda key: command(key, "lost", stated={"rp_id": "evil.example"}),
    "another nonce of the server": lambda key: command(key, "lost", stated={"server_nonce": b64u(b"other")}),
    "a short nonce of the phone": lambda key: command(key, "lost", stated={"nonce": "AA"}),
    "another key": lambda key: command(
        replace(key, private_key=make_private_key("ES256", SeededIds("thief"))), "lost"
    ),
    "an unknown signer": lambda key: command(key, "lost", signed_by="nobody"),
    "the lost phone's name as signer": lambda key: command(key, "lost", signed_by="lost"),
    "an authenticator that is not there": lambda key: command(key, "nowhere"),
    "another account": lambda key: command(key, "lost", account="bob"),
    "no proof": lambda key: command(
        key,
        "lost",
        proof=Proof(context="", authenticator_data="", client_data_json="", signature=""),
    ),
    "no base64url": lambda key: command(
        key,
        "lost",
        proof=command(key, "lost").proof.model_copy(update={"signature": "!"}),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_rejects_a_removal_signed_by(system: AdminSystem, ada: Person, attack: str) -> None:
    kept = await ada.phone("kept")
    await ada.phone("lost")
    await send(system, ATTACKS[attack](kept))
    assert [await status(system, name) for name in ("kept", "lost")] == [("trusted", "")] * 2
    assert len(system.world.bus.dead_letters) == 3


async def test_rejects_a_removal_signed_by_somebody_elses_phone(system: AdminSystem, ada: Person) -> None:
    await ada.phone("lost")
    eves = await Person(system, (await system.account("eve")).id).phone("eves")
    await send(system, command(eves, "lost"))
    await send(system, command(eves, "lost", account=ada.account))
    await send(system, command(eves, "lost"), "fabrikam")
    assert await status(system, "lost") == ("trusted", "")


async def test_rejects_a_removal_signed_by_a_phone_that_was_removed(system: AdminSystem, ada: Person) -> None:
    """The thief of a lost phone must not remove the others once it is removed."""
    stolen = await ada.phone("stolen")
    await ada.phone("kept")
    recorded = command(stolen, "kept")
    await handlers.remove_device(system.deps, CONTOSO, ada.account, "stolen")
    await send(system, recorded)
    assert await status(system, "kept") == ("trusted", "")


async def test_a_removal_of_another_version_changes_nothing(system: AdminSystem, ada: Person) -> None:
    kept = await ada.phone("kept")
    await ada.phone("lost")
    await send(system, command(kept, "lost", version=2))
    assert await status(system, "lost") == ("trusted", "")
    assert system.world.bus.dead_letters == []
