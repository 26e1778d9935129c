"""A phone's session, its end, and the person's own phones."""

import asyncio

import pytest

from deploy.standins.phone.authenticator import UP, Tamper, assertion
from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges, sessions
from services.approval.handlers.sessions import signed_in
from shared.contracts.admin import AccountStatus
from shared.errors import Forbidden, Gone, NotAuthenticated, NotFound
from tests.approval.support import Approval, Phone


async def test_assertion_makes_a_session(approval: Approval) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    who = await signed_in(approval.deps, token)
    assert (who.account.tenant, who.account.id) == ("contoso", "ada")


async def test_token_is_kept_only_as_its_digest(approval: Approval) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    assert token not in repr(approval.world.databases["approval"].data)


@pytest.mark.parametrize("token", [None, "", "unknown"])
async def test_rejects_no_session(approval: Approval, token: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


@pytest.mark.parametrize(
    "tamper",
    [
        Tamper(flags=UP),
        Tamper(origin="https://evil.example"),
        Tamper(challenge=bytes(32)),
        Tamper(sign_count=1),
    ],
    ids=["without user verification", "other origin", "other challenge", "counter stands still"],
)
async def test_rejects_assertion(approval: Approval, tamper: Tamper) -> None:
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    with pytest.raises(Forbidden):
        await sessions.open_session(
            approval.deps, begun.id, assertion(phone.key.used(), begun.challenge, tamper)
        )
    assert approval.world.documents("approval", "sessions") == []


async def test_rejects_replayed_session_assertion(approval: Approval) -> None:
    phone = await approval.phone(counts=False)
    begun = await sessions.begin_session(approval.deps)
    credential = assertion(phone.key, begun.challenge)
    results = await asyncio.gather(
        *(sessions.open_session(approval.deps, begun.id, credential) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Gone) for result in results) == 4


async def test_rejects_an_approval_as_a_sign_in(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    begun = await sessions.begin_session(approval.deps)
    with pytest.raises(Forbidden):
        await sessions.open_session(approval.deps, begun.id, phone.answer(asked.with_code()))


async def test_rejects_late_answer(approval: Approval) -> None:
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    approval.world.clock.advance(300)
    with pytest.raises(Gone):
        await sessions.open_session(approval.deps, begun.id, assertion(phone.key.used(), begun.challenge))


async def test_session_ends_after_twelve_hours_of_use(approval: Approval) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    for _ in range(23):
        approval.world.clock.advance(1800)
        await signed_in(approval.deps, token)
    approval.world.clock.advance(1800)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


async def test_session_ends_after_an_idle_hour(approval: Approval) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    approval.world.clock.advance(3599)
    await signed_in(approval.deps, token)
    approval.world.clock.advance(3600)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


async def test_closed_session_is_over(approval: Approval) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    await sessions.close_session(approval.deps, token)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


@pytest.mark.parametrize("status", [AccountStatus.SUSPENDED, AccountStatus.REMOVED])
async def test_suspended_account_has_no_session(approval: Approval, status: AccountStatus) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    await approval.account(version=2, status=status)
    with pytest.raises(Forbidden):
        await signed_in(approval.deps, token)
    with pytest.raises(Forbidden):
        await phone.sign_in()


async def test_session_from_under_another_session_epoch_is_over_and_a_new_one_is_not(
    approval: Approval,
) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    await approval.account(version=2, session_epoch=1)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)
    again, _ = await phone.sign_in()
    assert await signed_in(approval.deps, again)
    await approval.account(version=1)  # old news, late
    assert await signed_in(approval.deps, again)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


async def test_session_that_was_kept_before_there_were_epochs_counts_until_the_first_is_raised(
    approval: Approval,
) -> None:
    phone = await approval.phone()
    token, _ = await phone.sign_in()
    sessions_kept = approval.world.databases["approval"].collection("sessions")
    await sessions_kept.update({}, {"$unset": {"session_epoch": ""}})
    accounts = approval.world.databases["approval"].collection("accounts")
    await accounts.update({}, {"$unset": {"session_epoch": ""}})
    assert await signed_in(approval.deps, token)
    await approval.account(version=2, session_epoch=1)
    with pytest.raises(NotAuthenticated):
        await signed_in(approval.deps, token)


async def test_removal_ends_the_phones_sessions_at_once_and_is_told(approval: Approval) -> None:
    phone = await approval.phone()
    token, who = await phone.sign_in()
    await sessions.remove_device(approval.deps, who, who.session.device)
    with pytest.raises(Forbidden) as refused:
        await signed_in(approval.deps, token)
    assert refused.value.code == "device_removed"
    with pytest.raises(Forbidden):
        await phone.sign_in()
    enrolled, removed = await approval.devices_told()
    assert (enrolled.status, removed.status) == ("active", "removed")
    assert removed.version == enrolled.version + 1


async def test_other_phones_of_the_account_go_on(approval: Approval) -> None:
    lost = await approval.phone()
    kept = Phone(approval)
    await kept.enrol(await approval.invitation())
    who = await kept.who()
    (first, second) = sessions.devices(who)
    assert second.id == who.session.device
    await sessions.remove_device(approval.deps, who, first.id)
    asked = await approval.ask()
    with pytest.raises(Forbidden):
        await lost.approve(asked)
    await kept.approve(asked)


async def test_cannot_remove_another_accounts_phone(approval: Approval) -> None:
    ada = await approval.phone("ada")
    grace = await approval.phone("grace")
    target = (await ada.who()).session.device
    with pytest.raises(NotFound):
        await sessions.remove_device(approval.deps, await grace.who(), target)


async def test_sessions_of_two_tenants_never_meet(approval: Approval) -> None:
    here = await approval.phone("ada")
    there = await approval.phone("ada", tenant="fabrikam")
    asked = await approval.ask("ada")
    assert await here.listed() == [asked.id]
    assert await there.listed() == []
    with pytest.raises(NotFound):
        await challenges.refuse(approval.deps, await there.who(), asked.id, ChallengeAction.DENY)
