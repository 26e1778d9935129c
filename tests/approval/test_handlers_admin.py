"""What administrators ask: a lost phone goes at once, a freeze ends."""

import pytest

from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges, sessions
from shared.contracts.approval import UnfreezePush
from shared.errors import Blok365Error, Forbidden
from tests.approval.support import Approval, Phone, decide


async def test_lost_phone_can_do_nothing_any_more_and_its_removal_is_told(approval: Approval) -> None:
    phone = await approval.phone()
    token, who = await phone.sign_in()
    asked = await approval.ask()
    await decide(approval, who.session.device)
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
        await decide(approval, device)
    assert [d.status for d in await approval.devices_told()] == ["active", "removed"]


async def test_phone_that_is_revoked_goes_and_no_other_of_the_account(approval: Approval) -> None:
    lost = await approval.phone()
    second = Phone(approval)
    await second.enrol(await approval.invitation())
    gone, kept = (await lost.who()).session.device, (await second.who()).session.device
    await decide(approval, gone)
    states = {d.device: d.status for d in await approval.devices_told()}
    assert states == {gone: "removed", kept: "active"}
    await second.who()


@pytest.mark.parametrize("tenant", ["contoso", "fabrikam"])
async def test_cannot_revoke_a_phone_by_another_accounts_or_tenants_name(
    approval: Approval, tenant: str
) -> None:
    phone = await approval.phone()
    await approval.phone("grace")
    device = (await phone.who()).session.device
    account = "ada" if tenant == "fabrikam" else "grace"
    await decide(approval, device, account=account, tenant=tenant)
    await phone.who()


@pytest.mark.parametrize("sender", ["wsfed", "notify", "approval"])
async def test_only_admin_may_unfreeze(approval: Approval, sender: str) -> None:
    """A service that was taken over cannot end a freeze."""
    with pytest.raises(ValueError, match=r"send"):
        approval.world.signer(sender).sign(UnfreezePush(account="ada"), tenant="contoso")


async def test_phone_waits_until_admin_has_decided_and_is_told_so(approval: Approval) -> None:
    phone = await approval.phone(confirmed=False)
    assert (await phone.who()).waiting
    await decide(approval, (await phone.who()).session.device, "trusted", version=1)
    assert not (await phone.who()).waiting
    asked = await approval.ask()
    await phone.approve(asked)
    assert approval.state(asked) == "accepted"


async def test_refused_phone_is_told_so_by_its_session_and_by_its_approval(approval: Approval) -> None:
    phone = await approval.phone(confirmed=False)
    token, who = await phone.sign_in()
    asked = await approval.ask()
    await decide(approval, who.session.device, "refused", version=1)
    for attempt in (sessions.signed_in(approval.deps, token), phone.sign_in(), phone.approve(asked)):
        with pytest.raises(Forbidden) as refused:
            await attempt
        assert refused.value.code == "refused"
    assert approval.state(asked) == "open"
    assert [d.status for d in await approval.devices_told()] == ["active", "removed"]


async def test_decision_that_comes_late_or_twice_brings_no_phone_back(approval: Approval) -> None:
    phone = await approval.phone()
    device = (await phone.who()).session.device
    await decide(approval, device, "revoked", version=2)
    for version in (1, 2, 3):
        for _ in range(2):
            await decide(approval, device, "trusted", version=version)
    with pytest.raises(Forbidden):
        await phone.sign_in()


async def test_decision_on_a_device_that_is_not_here_makes_nothing(approval: Approval) -> None:
    await decide(approval, "nowhere", account="nobody")
    assert approval.world.documents("approval", "accounts") == []
    assert approval.world.bus.dead_letters == []


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
