"""What admin tells: only higher versions count, in whatever order they come."""

from itertools import permutations

import pytest

from services.approval.ports import Dependencies
from shared.contracts.admin import AccountStatus, InvitationChanged
from shared.errors import Gone, Unavailable
from shared.ids import b64u
from tests.approval.support import Approval, Phone


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
async def test_account_ends_as_its_highest_version_says(approval: Approval, order: list[int]) -> None:
    status = {1: AccountStatus.INVITED, 2: AccountStatus.ACTIVE, 3: AccountStatus.REMOVED}
    for version in order:
        await approval.account(version=version, status=status[version])
    assert approval.document()["status"] == "removed"
    assert approval.world.bus.dead_letters == []


async def test_same_version_twice_is_no_error(approval: Approval) -> None:
    await approval.account()
    before = approval.document()["revision"]
    await approval.account()
    assert approval.document()["revision"] == before
    assert approval.world.bus.dead_letters == []


async def test_stale_invitation_does_not_open_a_used_one(approval: Approval) -> None:
    invitation = (await approval.invitation()).partition(".")[0]
    await approval.invitation(invitation=invitation, version=3, status="used")
    await approval.invitation(invitation=invitation, version=2, status="open")
    assert approval.document()["invitations"][invitation]["status"] == "used"


async def test_news_of_a_spent_invitation_do_not_open_it(approval: Approval) -> None:
    await approval.phone()
    (invitation,) = approval.document()["invitations"]
    await approval.invitation(invitation=invitation, version=2, status="open")
    assert approval.document()["invitations"][invitation]["spent_by"] is not None


async def test_invitation_of_an_earlier_session_epoch_is_dead_and_of_a_later_one_waits(
    approval: Approval,
) -> None:
    await approval.account(version=2, session_epoch=1)
    for session_epoch, refusal in ((0, Gone), (1, None), (2, Unavailable)):
        fragment = await approval.invitation(session_epoch=session_epoch)
        phone = Phone(approval)
        if refusal is None:
            await phone.enrol(fragment)
        else:
            with pytest.raises(refusal):
                await phone.enrol(fragment)
    await approval.account(version=3, session_epoch=2)  # the news that the last one waited for
    await phone.enrol(fragment)
    assert len(approval.document()["devices"]) == 2


async def test_another_session_epoch_ends_the_requests_that_wait_and_nothing_else_does(
    approval: Approval,
) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await approval.account(version=2)
    assert await phone.listed() == [asked.id]
    await approval.account(version=3, session_epoch=1)
    assert await phone.listed() == []
    assert approval.document()["challenges"][asked.id]["state"] == "expired"
    with pytest.raises(Gone):
        await phone.approve(asked)
    new = await approval.ask()
    await phone.approve(new)


async def test_rejects_an_invitation_whose_key_changes(approval: Approval) -> None:
    invitation = (await approval.invitation()).partition(".")[0]
    now = approval.world.clock.now()
    news = InvitationChanged(
        version=2,
        invitation=invitation,
        account="ada",
        public_key=b64u(bytes(32)),
        issued_at=now,
        expires_at=now,
        status="open",
    )
    await approval.world.say("admin", news)
    (dead,) = approval.world.bus.dead_letters
    assert "cannot change" in dead.reason


@pytest.mark.parametrize("fields", [{"public_key": "AAAA"}, {"public_key": "!"}, {"invitation": "a.b"}])
async def test_broken_invitation_is_a_dead_letter(approval: Approval, fields: dict[str, str]) -> None:
    now = approval.world.clock.now()
    news = InvitationChanged(
        version=1,
        invitation="i",
        account="ada",
        public_key=b64u(bytes(32)),
        issued_at=now,
        expires_at=now,
        status="open",
    )
    await approval.world.say("admin", news.model_copy(update=fields))
    (dead,) = approval.world.bus.dead_letters
    assert dead.reason.startswith("rejected")


async def test_tenant_keeps_its_newest_name(approval: Approval) -> None:
    deps: Dependencies = approval.deps
    await approval.tenant(version=3, name="Contoso Bank")
    await approval.tenant(version=2, name="Contoso Ltd")
    assert await deps.tenants.name("contoso") == "Contoso Bank"
    assert await deps.tenants.name("fabrikam") is None
