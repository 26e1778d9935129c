"""`approval.device.changed.v1` activates an account only with a chain that admin can verify itself."""

from collections.abc import Awaitable, Callable
from dataclasses import replace as changed
from datetime import timedelta
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.handlers import InvitationLink, invitations
from services.admin.handlers.common import withdraw_open
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem

KEY = b"public key of the phone, DER"


def secret_of(link: InvitationLink) -> Ed25519PrivateKey:
    return key_from_seed(unb64u(link.url.rpartition(".")[2]))


def device(
    system: AdminSystem, account: str, link: InvitationLink, *, name: str = "phone-1"
) -> DeviceChanged:
    """What an honest approval service sends after an honest phone enrolled."""
    claim = NewDeviceKey(
        tenant=CONTOSO,
        account=account,
        invitation=link.invitation.id,
        credential_id=b64u(name.encode()),
        public_key=KEY,
    )
    return DeviceChanged(
        version=1,
        device=name,
        account=account,
        credential_id=claim.credential_id,
        public_key=b64u(KEY),
        endorsement=Endorsement(
            kind="invitation", by=link.invitation.id, signature=b64u(endorse(secret_of(link), claim))
        ),
        enrolled_at=system.world.clock.now(),
        status="active",
    )


async def deliver(system: AdminSystem, message: DeviceChanged, *, tenant: str = CONTOSO) -> None:
    await system.world.say("approval", message, tenant=tenant)
    await system.world.settle()


async def state(system: AdminSystem, account: Account, link: InvitationLink) -> tuple[AccountStatus, str]:
    invitation = await system.deps.invitations.get(CONTOSO, link.invitation.id)
    assert invitation is not None
    return (await handlers.show_account(system.deps, CONTOSO, account.id)).status, invitation.status


async def invited(system: AdminSystem, name: str = "ada") -> tuple[Account, InvitationLink]:
    account = await system.account(name)
    return account, await handlers.invite(system.deps, CONTOSO, account.id)


async def test_an_endorsed_device_activates_the_account_and_spends_the_invitation(
    stored: AdminSystem,
) -> None:
    ada, link = await invited(stored)
    await deliver(stored, device(stored, ada.id, link))
    assert await state(stored, ada, link) == (AccountStatus.ACTIVE, "used")
    assert stored.world.bus.dead_letters == []


async def test_a_repeated_device_event_changes_and_says_nothing_more(system: AdminSystem) -> None:
    ada, link = await invited(system)
    message = device(system, ada.id, link)
    await deliver(system, message)
    before = await handlers.show_account(system.deps, CONTOSO, ada.id)
    invitation = await system.deps.invitations.get(CONTOSO, link.invitation.id)
    await deliver(system, message)
    assert await handlers.show_account(system.deps, CONTOSO, ada.id) == before
    assert await system.deps.invitations.get(CONTOSO, link.invitation.id) == invitation
    assert system.world.bus.dead_letters == []


async def test_a_crash_between_the_two_writes_is_mended_by_redelivery(system: AdminSystem) -> None:
    ada, link = await invited(system)
    spent = await system.deps.invitations.change(
        CONTOSO, link.invitation.id, lambda invitation: invitation.used_by("phone-1")
    )
    assert spent is not None  # the first write happened, the second did not
    await deliver(system, device(system, ada.id, link))
    assert await state(system, ada, link) == (AccountStatus.ACTIVE, "used")


async def refused(system: AdminSystem, message: DeviceChanged, *, tenant: str = CONTOSO) -> str:
    await deliver(system, message, tenant=tenant)
    (dead,) = system.world.bus.dead_letters
    return dead.reason


async def test_a_taken_over_approval_service_cannot_activate_an_account(system: AdminSystem) -> None:
    ada, link = await invited(system)
    own = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    honest = device(system, ada.id, link)
    claim = NewDeviceKey(CONTOSO, ada.id, link.invitation.id, honest.credential_id, KEY)
    forged = honest.endorsement.model_copy(update={"signature": b64u(endorse(own, claim))})
    reason = await refused(system, honest.model_copy(update={"endorsement": forged}))
    assert "endorsement" in reason
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": b64u(b"another key")},
        {"credential_id": b64u(b"another credential")},
        {"public_key": "not base64url!"},
    ],
)
async def test_an_endorsement_of_another_key_is_refused(system: AdminSystem, change: dict[str, str]) -> None:
    ada, link = await invited(system)
    await refused(system, device(system, ada.id, link).model_copy(update=change))
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


@pytest.mark.parametrize("signature", ["", "AAAA", "=", "!", b64u(bytes(64)), b64u(bytes(65))])
async def test_a_signature_of_any_wrong_form_is_refused(system: AdminSystem, signature: str) -> None:
    ada, link = await invited(system)
    honest = device(system, ada.id, link)
    forged = honest.endorsement.model_copy(update={"signature": signature})
    await refused(system, honest.model_copy(update={"endorsement": forged}))
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


async def test_an_invitation_cannot_activate_another_account(system: AdminSystem) -> None:
    ada, link = await invited(system)
    eve, eves = await invited(system, "eve")
    message = device(system, ada.id, eves)  # eve signs ada's name with her own invitation
    await refused(system, message)
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")
    assert await state(system, eve, eves) == (AccountStatus.INVITED, "open")


async def test_an_invitation_of_another_tenant_is_not_found(system: AdminSystem) -> None:
    ada, link = await invited(system)
    assert "no such invitation" in await refused(system, device(system, ada.id, link), tenant=FABRIKAM)
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


async def test_a_replayed_invitation_does_not_vouch_for_a_second_device(system: AdminSystem) -> None:
    ada, link = await invited(system)
    await deliver(system, device(system, ada.id, link))
    reason = await refused(system, device(system, ada.id, link, name="phone-2"))
    assert "one device" in reason


async def test_of_two_devices_at_the_same_moment_one_takes_the_invitation(stored: AdminSystem) -> None:
    ada, link = await invited(stored)
    first, second = (device(stored, ada.id, link, name=n) for n in ("phone-1", "phone-2"))
    signer = stored.world.signer("approval")
    await stored.world.bus.publish([signer.sign(m, tenant=CONTOSO) for m in (first, second)])
    await stored.world.settle()
    assert len(stored.world.bus.dead_letters) == 1
    assert await state(stored, ada, link) == (AccountStatus.ACTIVE, "used")


async def test_a_withdrawn_invitation_activates_nobody(system: AdminSystem) -> None:
    ada, link = await invited(system)
    await handlers.invite(system.deps, CONTOSO, ada.id)
    assert "withdrawn" in await refused(system, device(system, ada.id, link))
    assert await state(system, ada, link) == (AccountStatus.INVITED, "withdrawn")


async def test_enrolment_after_expiry_is_refused_but_a_late_message_is_not(system: AdminSystem) -> None:
    ada, link = await invited(system)
    in_time = device(system, ada.id, link)
    system.world.clock.advance(timedelta(hours=24, seconds=1).total_seconds())
    late = device(system, ada.id, link)
    assert "expired" in await refused(system, late)
    await deliver(system, in_time)
    assert await state(system, ada, link) == (AccountStatus.ACTIVE, "used")


async def test_a_writer_on_the_bus_without_approvals_key_is_refused(system: AdminSystem) -> None:
    ada, link = await invited(system)
    signed = system.world.signer("approval").sign(device(system, ada.id, link), tenant=CONTOSO)
    await system.world.bus.publish([changed(signed, signature=bytes(64))])
    assert "signature" in system.world.bus.dead_letters[0].reason
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


async def test_a_device_enrolled_before_a_suspension_counts_after_resuming_and_not_before(
    system: AdminSystem,
) -> None:
    ada, link = await invited(system)
    await deliver(system, device(system, ada.id, link))
    await handlers.suspend(system.deps, CONTOSO, ada.id)
    assert await state(system, ada, link) == (AccountStatus.SUSPENDED, "used")
    assert (await handlers.resume(system.deps, CONTOSO, ada.id)).status is AccountStatus.ACTIVE


@pytest.mark.parametrize("end", [handlers.suspend, handlers.sign_out_everywhere], ids=lambda f: f.__name__)
async def test_a_suspension_or_a_sign_out_everywhere_ends_the_open_invitation_for_good(
    system: AdminSystem, end: Callable[..., Awaitable[Account]]
) -> None:
    ada, link = await invited(system)
    after = await end(system.deps, CONTOSO, ada.id)
    assert "withdrawn" in await refused(system, device(system, ada.id, link))
    if after.status is AccountStatus.SUSPENDED:
        await handlers.resume(system.deps, CONTOSO, ada.id)
    await deliver(system, device(system, ada.id, link))
    assert len(system.world.bus.dead_letters) == 2
    assert await state(system, ada, link) == (AccountStatus.INVITED, "withdrawn")


async def test_an_invitation_that_was_made_while_the_person_was_signed_out_everywhere_activates_nobody(
    system: AdminSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written after the open ones were withdrawn, and is of the session epoch before: only that tells."""
    ada = await system.account()
    withdraw = withdraw_open

    async def signed_out_first(deps: Dependencies, account: Account) -> None:
        await handlers.sign_out_everywhere(deps, CONTOSO, account.id)
        await withdraw(deps, account)

    monkeypatch.setattr(invitations, "withdraw_open", signed_out_first)
    link = await handlers.invite(system.deps, CONTOSO, ada.id)
    assert "signed out everywhere" in await refused(system, device(system, ada.id, link))
    assert await state(system, ada, link) == (AccountStatus.INVITED, "open")


async def test_a_removed_account_is_not_brought_back_by_a_device(system: AdminSystem) -> None:
    ada, link = await invited(system)
    message = device(system, ada.id, link)
    await handlers.remove(system.deps, CONTOSO, ada.id)
    await deliver(system, message)
    assert (await state(system, ada, link))[0] is AccountStatus.REMOVED


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_order_of_enrolment_removal_of_the_phone_and_suspension_does_not_matter(
    system: AdminSystem, order: tuple[int, ...]
) -> None:
    ada, link = await invited(system)
    enrolled = device(system, ada.id, link)
    gone = enrolled.model_copy(update={"version": 2, "status": "removed"})
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: deliver(system, enrolled),
        lambda: deliver(system, gone),
        lambda: deliver(system, enrolled),
        lambda: handlers.suspend(system.deps, CONTOSO, ada.id),
    ]
    for index in order:
        await steps[index]()
    resumed = await handlers.resume(system.deps, CONTOSO, ada.id)
    if (
        order[0] == 3
    ):  # suspended before any news of the phone: its invitation is over, and so is each of its events
        assert await state(system, ada, link) == (AccountStatus.INVITED, "withdrawn")
        assert len(system.world.bus.dead_letters) == 3
        return
    assert (resumed.status, (await state(system, ada, link))[1]) == (AccountStatus.ACTIVE, "used")
    assert system.world.bus.dead_letters == []
