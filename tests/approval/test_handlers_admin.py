"""What administrators ask: a lost phone goes at once, a freeze ends."""

import pytest

from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges, sessions
from shared.contracts.approval import RemoveDevice, UnfreezePush
from shared.errors import Blok365Error, Forbidden
from tests.approval.support import Approval, Phone


async def removed(approval: Approval, device: str | None, account: str = "ada") -> None:
    await approval.world.say("admin", RemoveDevice(account=account, device=device))


async def test_lost_phone_can_do_nothing_any_more_and_its_removal_is_told(approval: Approval) -> None:
    phone = await approval.phone()
    token, who = await phone.sign_in()
    asked = await approval.ask()
    await removed(approval, who.session.device)
    told = await approval.devices_told()
    assert [(d.device, d.version, d.status) for d in told][1:] == [(who.session.device, 2, "removed")]
    with pytest.raises(Forbidden):
        await sessions.signed_in(approval.deps, token)
    with pytest.raises(Forbidden):
        await phone.approve(asked)
    with pytest.raises(Blok365Error):
        await phone.sign_in()
    assert approval.state(asked) == "open"


async def test_removal_twice_is_told_once(approval: Approval) -> None:
    phone = await approval.phone()
    device = (await phone.who()).session.device
    for _ in range(2):
        await removed(approval, device)
    assert [d.status for d in await approval.devices_told()] == ["active", "removed"]


async def test_all_phones_of_one_account_and_of_no_other(approval: Approval) -> None:
    await approval.phone()
    second = Phone(approval)
    await second.enrol(await approval.invitation())
    grace = await approval.phone("grace")
    await removed(approval, None)
    states = {d.device: d.status for d in await approval.devices_told()}
    assert sorted(states.values()) == ["active", "removed", "removed"]
    assert states[(await grace.who()).session.device] == "active"


@pytest.mark.parametrize("tenant", ["contoso", "fabrikam"])
async def test_cannot_remove_a_phone_by_another_accounts_or_tenants_name(
    approval: Approval, tenant: str
) -> None:
    phone = await approval.phone()
    await approval.phone("grace")
    device = (await phone.who()).session.device
    account = "ada" if tenant == "fabrikam" else "grace"
    await approval.world.say("admin", RemoveDevice(account=account, device=device), tenant)
    await phone.who()


@pytest.mark.parametrize("sender", ["wsfed", "notify", "approval"])
async def test_only_admin_may_remove_and_unfreeze(approval: Approval, sender: str) -> None:
    """A service that was taken over cannot lock anybody out, nor end a freeze."""
    phone = await approval.phone()
    for command in (RemoveDevice(account="ada", device=None), UnfreezePush(account="ada")):
        with pytest.raises(ValueError, match=r"send"):
            approval.world.signer(sender).sign(command, tenant="contoso")
    await phone.who()


async def test_administrator_ends_a_freeze_and_quotas_stay(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await challenges.refuse(approval.deps, await phone.who(), asked.id, ChallengeAction.REPORT)
    assert approval.document()["frozen_at"] is not None
    spent = approval.document()["pushes_unknown"]
    for freeze in ("", "another", asked.id):
        assert approval.document()["frozen_at"] is not None
        await approval.world.say("admin", UnfreezePush(account="ada", freeze=freeze))
    assert approval.document()["frozen_at"] is None
    assert approval.document()["pushes_unknown"] == spent
    again = await approval.ask(browser="other")
    assert approval.document()["challenges"][again.id]["silenced"] is False


async def test_unfreezing_an_account_that_is_not_known_makes_none(approval: Approval) -> None:
    await approval.world.say("admin", UnfreezePush(account="nobody", freeze="x"))
    assert approval.world.documents("approval", "accounts") == []
    assert approval.world.bus.dead_letters == []
