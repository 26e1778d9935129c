"""`approval.device.changed.v1` activates an account only with a chain that admin can verify itself."""

from collections.abc import Awaitable, Callable
from dataclasses import replace as changed
from datetime import timedelta
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.admin import handlers
from services.admin.domain import Account
from services.admin.handlers import InvitationLink
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, FABRIKAM, Office

KEY = b"public key of the phone, DER"


def secret_of(link: InvitationLink) -> Ed25519PrivateKey:
    return key_from_seed(unb64u(link.url.rpartition(".")[2]))


def device(office: Office, account: str, link: InvitationLink, *, name: str = "phone-1") -> DeviceChanged:
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
        enrolled_at=office.world.clock.now(),
        status="active",
    )


async def deliver(office: Office, message: DeviceChanged, *, tenant: str = CONTOSO) -> None:
    await office.world.say("approval", message, tenant=tenant)
    await office.world.settle()


async def state(office: Office, account: Account, link: InvitationLink) -> tuple[AccountStatus, str]:
    invitation = await office.admin.invitations.get(CONTOSO, link.invitation.id)
    assert invitation is not None
    return (await handlers.show_account(office.admin, CONTOSO, account.id)).status, invitation.status


async def invited(office: Office, name: str = "ada") -> tuple[Account, InvitationLink]:
    account = await office.person(name)
    return account, await handlers.invite(office.admin, CONTOSO, account.id)


async def test_an_endorsed_device_activates_the_account_and_spends_the_invitation(either: Office) -> None:
    ada, link = await invited(either)
    await deliver(either, device(either, ada.id, link))
    assert await state(either, ada, link) == (AccountStatus.ACTIVE, "used")
    assert either.world.bus.dead_letters == []


async def test_a_repeated_device_event_changes_and_says_nothing_more(office: Office) -> None:
    ada, link = await invited(office)
    message = device(office, ada.id, link)
    await deliver(office, message)
    before = await handlers.show_account(office.admin, CONTOSO, ada.id)
    invitation = await office.admin.invitations.get(CONTOSO, link.invitation.id)
    await deliver(office, message)
    assert await handlers.show_account(office.admin, CONTOSO, ada.id) == before
    assert await office.admin.invitations.get(CONTOSO, link.invitation.id) == invitation
    assert office.world.bus.dead_letters == []


async def test_a_crash_between_the_two_writes_is_mended_by_redelivery(office: Office) -> None:
    ada, link = await invited(office)
    spent = link.invitation.used_by("phone-1")  # the first write happened, the second did not
    assert await office.admin.invitations.replace(spent, office.admin.invitation_message(spent))
    await deliver(office, device(office, ada.id, link))
    assert await state(office, ada, link) == (AccountStatus.ACTIVE, "used")


async def refused(office: Office, message: DeviceChanged, *, tenant: str = CONTOSO) -> str:
    await deliver(office, message, tenant=tenant)
    (letter,) = office.world.bus.dead_letters
    return letter.reason


async def test_a_taken_over_approval_service_cannot_activate_an_account(office: Office) -> None:
    ada, link = await invited(office)
    own = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    honest = device(office, ada.id, link)
    claim = NewDeviceKey(CONTOSO, ada.id, link.invitation.id, honest.credential_id, KEY)
    forged = honest.endorsement.model_copy(update={"signature": b64u(endorse(own, claim))})
    reason = await refused(office, honest.model_copy(update={"endorsement": forged}))
    assert "endorsement" in reason
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": b64u(b"another key")},
        {"credential_id": b64u(b"another credential")},
        {"public_key": "not base64url!"},
    ],
)
async def test_an_endorsement_of_another_key_is_refused(office: Office, change: dict[str, str]) -> None:
    ada, link = await invited(office)
    await refused(office, device(office, ada.id, link).model_copy(update=change))
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")


@pytest.mark.parametrize("signature", ["", "AAAA", "=", "!", b64u(bytes(64)), b64u(bytes(65))])
async def test_a_signature_of_any_wrong_form_is_refused(office: Office, signature: str) -> None:
    ada, link = await invited(office)
    honest = device(office, ada.id, link)
    forged = honest.endorsement.model_copy(update={"signature": signature})
    await refused(office, honest.model_copy(update={"endorsement": forged}))
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")


async def test_an_invitation_cannot_activate_another_account(office: Office) -> None:
    ada, link = await invited(office)
    eve, eves = await invited(office, "eve")
    message = device(office, ada.id, eves)  # eve signs ada's name with her own invitation
    await refused(office, message)
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")
    assert await state(office, eve, eves) == (AccountStatus.INVITED, "open")


async def test_an_invitation_of_another_tenant_is_not_found(office: Office) -> None:
    ada, link = await invited(office)
    assert "no such invitation" in await refused(office, device(office, ada.id, link), tenant=FABRIKAM)
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")


async def test_a_replayed_invitation_does_not_vouch_for_a_second_device(office: Office) -> None:
    ada, link = await invited(office)
    await deliver(office, device(office, ada.id, link))
    reason = await refused(office, device(office, ada.id, link, name="phone-2"))
    assert "one device" in reason


async def test_of_two_devices_at_the_same_moment_one_takes_the_invitation(either: Office) -> None:
    ada, link = await invited(either)
    first, second = (device(either, ada.id, link, name=n) for n in ("phone-1", "phone-2"))
    signer = either.world.signer("approval")
    await either.world.bus.publish([signer.sign(m, tenant=CONTOSO) for m in (first, second)])
    await either.world.settle()
    assert len(either.world.bus.dead_letters) == 1
    assert await state(either, ada, link) == (AccountStatus.ACTIVE, "used")


async def test_a_withdrawn_invitation_activates_nobody(office: Office) -> None:
    ada, link = await invited(office)
    await handlers.invite(office.admin, CONTOSO, ada.id)
    assert "withdrawn" in await refused(office, device(office, ada.id, link))
    assert await state(office, ada, link) == (AccountStatus.INVITED, "withdrawn")


async def test_enrolment_after_expiry_is_refused_but_a_late_message_is_not(office: Office) -> None:
    ada, link = await invited(office)
    in_time = device(office, ada.id, link)
    office.world.clock.advance(timedelta(hours=24, seconds=1).total_seconds())
    late = device(office, ada.id, link)
    assert "expired" in await refused(office, late)
    await deliver(office, in_time)
    assert await state(office, ada, link) == (AccountStatus.ACTIVE, "used")


async def test_a_writer_on_the_bus_without_approvals_key_is_refused(office: Office) -> None:
    ada, link = await invited(office)
    signed = office.world.signer("approval").sign(device(office, ada.id, link), tenant=CONTOSO)
    await office.world.bus.publish([changed(signed, signature=bytes(64))])
    assert "signature" in office.world.bus.dead_letters[0].reason
    assert await state(office, ada, link) == (AccountStatus.INVITED, "open")


async def test_a_device_enrolled_while_suspended_counts_after_resuming_and_not_before(office: Office) -> None:
    ada, link = await invited(office)
    await handlers.suspend(office.admin, CONTOSO, ada.id)
    await deliver(office, device(office, ada.id, link))
    assert await state(office, ada, link) == (AccountStatus.SUSPENDED, "used")
    assert (await handlers.resume(office.admin, CONTOSO, ada.id)).status is AccountStatus.ACTIVE


async def test_a_removed_account_is_not_brought_back_by_a_device(office: Office) -> None:
    ada, link = await invited(office)
    message = device(office, ada.id, link)
    await handlers.remove(office.admin, CONTOSO, ada.id)
    await deliver(office, message)
    assert (await state(office, ada, link))[0] is AccountStatus.REMOVED


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_order_of_enrolment_removal_of_the_phone_and_suspension_does_not_matter(
    office: Office, order: tuple[int, ...]
) -> None:
    ada, link = await invited(office)
    enrolled = device(office, ada.id, link)
    gone = enrolled.model_copy(update={"version": 2, "status": "removed"})
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: deliver(office, enrolled),
        lambda: deliver(office, gone),
        lambda: deliver(office, enrolled),
        lambda: handlers.suspend(office.admin, CONTOSO, ada.id),
    ]
    for index in order:
        await steps[index]()
    assert await state(office, ada, link) == (AccountStatus.SUSPENDED, "used")
    assert (await handlers.resume(office.admin, CONTOSO, ada.id)).status is AccountStatus.ACTIVE
    assert office.world.bus.dead_letters == []
