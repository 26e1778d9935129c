"""`approval.device.changed.v1` activates an account only with a chain that admin can verify itself."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace as changed
from datetime import timedelta
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import MAX_REFUSED
from services.admin.handlers import InvitationLink, invitations
from services.admin.handlers.common import withdraw_open
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus, AuthenticatorStatus, InvitationChanged
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem

KEY = b"public key of the phone, DER"
KEY_SHA256 = b64u(hashlib.sha256(KEY).digest())


def secret_of(link: InvitationLink) -> Ed25519PrivateKey:
    return key_from_seed(unb64u(link.url.rpartition(".")[2]))


def device(
    system: AdminSystem, account: str, link: InvitationLink, *, name: str = "phone-1", key: bytes = KEY
) -> DeviceChanged:
    """What an honest approval service sends after an honest phone enrolled."""
    claim = NewDeviceKey(
        tenant=CONTOSO,
        account=account,
        invitation=link.invitation.id,
        credential_id=b64u(name.encode()),
        public_key=key,
    )
    return DeviceChanged(
        version=1,
        device=name,
        account=account,
        credential_id=claim.credential_id,
        public_key=b64u(key),
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


async def decision(system: AdminSystem, authenticator: str) -> tuple[str, str]:
    """Status and reason of admin's decision."""
    found = await system.deps.authenticators.get(CONTOSO, authenticator)
    assert found is not None
    return found.status.value, found.reason


async def invited(system: AdminSystem, name: str = "ada") -> tuple[Account, InvitationLink]:
    account = await system.account(name)
    return account, await handlers.invite(system.deps, CONTOSO, account.id)


async def test_an_endorsed_device_activates_the_account_and_spends_the_invitation(
    stored: AdminSystem,
) -> None:
    ada, link = await invited(stored)
    await deliver(stored, device(stored, ada.id, link))
    assert await state(stored, ada, link) == (AccountStatus.ACTIVE, "used")
    assert await decision(stored, "phone-1") == ("trusted", "")
    spent = await stored.deps.invitations.get(CONTOSO, link.invitation.id)
    assert spent is not None
    assert (spent.device, spent.credential_id, spent.key_sha256) == ("phone-1", b64u(b"phone-1"), KEY_SHA256)
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
        CONTOSO,
        link.invitation.id,
        lambda invitation: invitation.used_by("phone-1", b64u(b"phone-1"), KEY_SHA256),
    )
    assert spent is not None  # the first write happened, the others did not
    await deliver(system, device(system, ada.id, link))
    assert await state(system, ada, link) == (AccountStatus.ACTIVE, "used")
    assert await decision(system, "phone-1") == ("trusted", "")


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
    second = device(system, ada.id, link, name="phone-2", key=b"another key")
    for _ in range(2):
        await deliver(system, second)
    assert await decision(system, "phone-1") == ("trusted", "")
    assert await decision(system, "phone-2") == ("refused", "used")


async def test_of_two_devices_at_the_same_moment_one_takes_the_invitation(stored: AdminSystem) -> None:
    ada, link = await invited(stored)
    first, second = (device(stored, ada.id, link, name=n, key=n.encode()) for n in ("phone-1", "phone-2"))
    signer = stored.world.signer("approval")
    await stored.world.bus.publish([signer.sign(m, tenant=CONTOSO) for m in (first, second)])
    await stored.world.settle()
    decided = {await decision(stored, name) for name in ("phone-1", "phone-2")}
    assert decided == {("trusted", ""), ("refused", "used")}
    assert await state(stored, ada, link) == (AccountStatus.ACTIVE, "used")


async def test_a_withdrawn_invitation_activates_nobody(system: AdminSystem) -> None:
    ada, link = await invited(system)
    await handlers.invite(system.deps, CONTOSO, ada.id)
    await deliver(system, device(system, ada.id, link))
    assert await decision(system, "phone-1") == ("refused", "withdrawn")
    assert await state(system, ada, link) == (AccountStatus.INVITED, "withdrawn")


@pytest.mark.parametrize("dated_back", [False, True])
async def test_a_device_counts_until_ten_minutes_after_its_invitations_end_by_admins_clock_alone(
    system: AdminSystem, dated_back: bool
) -> None:
    """approval's `enrolled_at` decides nothing: not when it is right, not when it is dated back."""
    ada, link = await invited(system)
    in_time = device(system, ada.id, link)
    system.world.clock.advance(timedelta(hours=24, minutes=10, seconds=1).total_seconds())
    late = in_time if dated_back else device(system, ada.id, link)
    for _ in range(2):
        await deliver(system, late)
    assert await decision(system, "phone-1") == ("refused", "expired")
    assert (await state(system, ada, link))[0] is AccountStatus.INVITED


async def test_a_device_that_was_under_way_when_its_invitation_ended_counts(system: AdminSystem) -> None:
    ada, link = await invited(system)
    in_time = device(system, ada.id, link)
    system.world.clock.advance(timedelta(hours=24, minutes=10).total_seconds())
    assert await handlers.expire_invitations(system.deps) == 0
    await deliver(system, in_time)
    assert await state(system, ada, link) == (AccountStatus.ACTIVE, "used")
    assert await decision(system, "phone-1") == ("trusted", "")


async def test_an_invitation_expires_by_itself_and_the_others_hear_of_it(stored: AdminSystem) -> None:
    ada, link = await invited(stored)
    _, open_still = await invited(stored, "eve")
    stored.world.clock.advance(timedelta(hours=24, minutes=10, seconds=1).total_seconds())
    renewed = await handlers.invite(stored.deps, CONTOSO, open_still.invitation.account)
    for _ in range(2):  # two replicas sweep
        await handlers.expire_invitations(stored.deps)
    assert (await state(stored, ada, link))[1] == "expired"
    kept = await stored.deps.invitations.get(CONTOSO, renewed.invitation.id)
    assert kept is not None
    assert kept.status == "open"
    await stored.world.settle()
    told = [s for s in stored.world.bus.sent if s.type == InvitationChanged.TYPE]
    assert sum(b'"status":"expired"' in signed.body for signed in told) == 1
    await deliver(stored, device(stored, ada.id, link))
    assert await decision(stored, "phone-1") == ("refused", "expired")


async def test_a_key_that_was_removed_or_is_in_use_counts_under_no_other_id(system: AdminSystem) -> None:
    """A second, valid invitation vouches for the lost phone's key under a new name: refused, and nothing is spent."""
    ada, link = await invited(system)
    await deliver(system, device(system, ada.id, link))
    for status, name in (("trusted", "phone-2"), ("revoked", "phone-3")):
        if status == "revoked":
            await handlers.remove_device(system.deps, CONTOSO, ada.id, "phone-1")
        again = await handlers.invite(system.deps, CONTOSO, ada.id)
        await deliver(system, device(system, ada.id, again, name=name))
        assert await decision(system, name) == ("refused", "known_key")
        assert (await decision(system, "phone-1"))[0] == status
        kept = await system.deps.invitations.get(CONTOSO, again.invitation.id)
        assert kept is not None
        assert kept.status == "open"


async def test_an_id_that_is_another_device_takes_nothing_from_it(system: AdminSystem) -> None:
    """Eve has an invitation of her own, and approval in her hands: she enrols under the id of Ada's phone."""
    ada, link = await invited(system)
    eve, eves = await invited(system, "eve")
    await deliver(system, device(system, ada.id, link))
    for version in (2, 3):
        forged = device(system, eve.id, eves, key=b"eve").model_copy(update={"version": version})
        await deliver(system, forged.model_copy(update={"status": "removed"}))
        await deliver(system, forged)
    assert await decision(system, "phone-1") == ("trusted", "")
    assert len(system.world.bus.dead_letters) == 4
    assert (await state(system, eve, eves)) == (AccountStatus.INVITED, "open")


async def test_refused_devices_by_the_thousand_are_not_all_kept(system: AdminSystem) -> None:
    """Whoever has approval and an old link can announce any number of ids."""
    ada, link = await invited(system)
    await handlers.invite(system.deps, CONTOSO, ada.id)
    for number in range(MAX_REFUSED + 5):
        await deliver(system, device(system, ada.id, link, name=f"phone-{number}", key=b"%d" % number))
    listed = await handlers.list_devices(system.deps, CONTOSO, ada.id)
    assert [each.status for each in listed] == ["refused"] * MAX_REFUSED
    assert len(system.world.bus.dead_letters) == 5


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


async def reasons(system: AdminSystem, ada: Account) -> list[str]:
    """Why admin refused the account's devices."""
    found = await handlers.list_devices(system.deps, CONTOSO, ada.id)
    return [each.reason for each in found if each.status is AuthenticatorStatus.REFUSED]


@pytest.mark.parametrize("end", [handlers.suspend, handlers.sign_out_everywhere], ids=lambda f: f.__name__)
async def test_a_suspension_or_a_sign_out_everywhere_ends_the_open_invitation_for_good(
    system: AdminSystem, end: Callable[..., Awaitable[Account]]
) -> None:
    ada, link = await invited(system)
    after = await end(system.deps, CONTOSO, ada.id)
    await deliver(system, device(system, ada.id, link))
    if after.status is AccountStatus.SUSPENDED:
        await handlers.resume(system.deps, CONTOSO, ada.id)
    await deliver(system, device(system, ada.id, link))
    assert await reasons(system, ada) == ["withdrawn"]
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
    await deliver(system, device(system, ada.id, link))
    assert await reasons(system, ada) == ["withdrawn"]
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
    if order[0] == 3:  # suspended before any news of the phone: its invitation is over
        assert await state(system, ada, link) == (AccountStatus.INVITED, "withdrawn")
        assert await reasons(system, ada) == ["withdrawn"]
        return
    assert (resumed.status, (await state(system, ada, link))[1]) == (AccountStatus.ACTIVE, "used")
    assert system.world.bus.dead_letters == []
