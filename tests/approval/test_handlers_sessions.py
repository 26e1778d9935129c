"""A phone's session, its end, and the person's own phones."""

import asyncio
from typing import Any

import pytest

from deploy.standins.phone.authenticator import UP, Tamper
from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges, sessions
from services.approval.handlers.sessions import signed_in
from shared.contracts.admin import AccountStatus
from shared.crypto.statement import Purpose
from shared.errors import Forbidden, Gone, NotAuthenticated, NotFound
from shared.ids import b64u
from tests.approval.support import APP_ORIGIN, SIGN_IN_ORIGIN, Approval, Phone, decide


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
        await sessions.open_session(approval.deps, begun.id, *phone.stated(begun, tamper=tamper))
    assert approval.world.documents("approval", "sessions") == []


async def test_rejects_replayed_session_assertion(approval: Approval) -> None:
    phone = await approval.phone(counts=False)
    begun = await sessions.begin_session(approval.deps)
    stated = phone.stated(begun)
    results = await asyncio.gather(
        *(sessions.open_session(approval.deps, begun.id, *stated) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Gone) for result in results) == 4


async def test_rejects_an_approval_as_a_sign_in(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    context = asked.with_code()
    begun = await sessions.begin_session(approval.deps)
    with pytest.raises(Forbidden) as refused:
        await sessions.open_session(approval.deps, begun.id, context, phone.answer(context))
    assert refused.value.code == "statement"


async def test_rejects_late_answer(approval: Approval) -> None:
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    approval.world.clock.advance(300)
    with pytest.raises(Gone):
        await sessions.open_session(approval.deps, begun.id, *phone.stated(begun))


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
    await phone.remove(who, who.session.device)
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
    await decide(approval, second.id, "trusted")
    who = await kept.who()
    await kept.remove(who, first.id)
    asked = await approval.ask()
    with pytest.raises(Forbidden):
        await lost.approve(asked)
    await kept.approve(asked)


async def test_cannot_remove_another_accounts_phone(approval: Approval) -> None:
    ada = await approval.phone("ada")
    grace = await approval.phone("grace")
    target = (await ada.who()).session.device
    with pytest.raises(NotFound):
        await grace.remove(await grace.who(), target)


NOT_ASKED_FOR = {
    "for another purpose": {"purpose": Purpose.ENROL},
    "for an approval": {"purpose": Purpose.APPROVE},
    "at the sign-in page": {"origin": SIGN_IN_ORIGIN},
    "at another site": {"origin": "https://evil.example"},
    "for another RP ID": {"rp_id": "evil.example"},
    "with a short nonce": {"nonce": b64u(bytes(31))},
    "without a nonce": {"nonce": ""},
    "with another nonce of ours": {"server_nonce": b64u(bytes(32))},
    "about another device": {"device": "another"},
}
"""Statements that a device signs truly, each wrong in one field."""


@pytest.mark.parametrize("other", NOT_ASKED_FOR.values(), ids=NOT_ASKED_FOR)
async def test_rejects_a_statement_that_was_not_asked_for(approval: Approval, other: dict[str, Any]) -> None:
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    with pytest.raises(Forbidden) as refused:
        await sessions.open_session(approval.deps, begun.id, *phone.stated(begun, **other))
    assert refused.value.code == "statement"
    who = await phone.who()
    with pytest.raises(Forbidden) as refused:
        await phone.remove(who, who.session.device, **other)
    assert refused.value.code == "statement"
    assert {each.status for each in await approval.devices_told()} == {"active"}


async def test_rejects_a_signature_over_another_statement(approval: Approval) -> None:
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    statement, _ = phone.stated(begun)
    _, credential = phone.stated(begun)
    with pytest.raises(Forbidden) as refused:
        await sessions.open_session(approval.deps, begun.id, statement, credential)
    assert refused.value.code == "assertion"


async def test_rejects_a_page_that_states_an_apps_origin(approval: Approval) -> None:
    """Both origins may sign; the statement's must be the one that the browser wrote beside it."""
    phone = await approval.phone()
    begun = await sessions.begin_session(approval.deps)
    stated = phone.stated(begun, origin=APP_ORIGIN)
    with pytest.raises(Forbidden) as refused:
        await sessions.open_session(approval.deps, begun.id, *stated)
    assert refused.value.code == "assertion"
    again = await sessions.begin_session(approval.deps)
    app = phone.stated(again, tamper=Tamper(origin=APP_ORIGIN), origin=APP_ORIGIN)
    await sessions.open_session(approval.deps, again.id, *app)


async def test_removal_needs_a_signature_for_that_phone(approval: Approval) -> None:
    """Neither what opened a session, nor what removes one phone, removes another."""
    phone, other = await approval.phone(), Phone(approval)
    await other.enrol(await approval.invitation())
    who, target = await phone.who(), (await other.who()).session.device
    session = await sessions.begin_session(approval.deps)
    with pytest.raises(Gone):
        await sessions.remove_device(approval.deps, who, target, session.id, *phone.stated(session))
    own = await sessions.begin_removal(approval.deps, who, who.session.device)
    with pytest.raises(Gone):
        await sessions.remove_device(approval.deps, who, target, own.id, *phone.stated(own))
    assert {each.status for each in await approval.devices_told()} == {"active"}


async def test_removal_is_signed_by_the_phone_that_has_the_session(approval: Approval) -> None:
    """A stolen token, together with another phone of the same person, is not enough."""
    phone, other = await approval.phone(), Phone(approval)
    await other.enrol(await approval.invitation())
    who = await phone.who()
    with pytest.raises(Forbidden) as refused:
        await other.remove(who, who.session.device)
    assert refused.value.code == "assertion"


async def test_removal_counts_once(approval: Approval) -> None:
    phone, other = await approval.phone(counts=False), Phone(approval)
    await other.enrol(await approval.invitation())
    await decide(approval, (await phone.who()).session.device, "trusted")
    who, target = await phone.who(), (await other.who()).session.device
    begun = await sessions.begin_removal(approval.deps, who, target)
    stated = phone.stated(begun)
    await sessions.remove_device(approval.deps, who, target, begun.id, *stated)
    with pytest.raises(Gone):
        await sessions.remove_device(approval.deps, who, target, begun.id, *stated)


async def test_sessions_of_two_tenants_never_meet(approval: Approval) -> None:
    here = await approval.phone("ada")
    there = await approval.phone("ada", tenant="fabrikam")
    asked = await approval.ask("ada")
    assert await here.listed() == [asked.id]
    assert await there.listed() == []
    with pytest.raises(NotFound):
        await challenges.refuse(approval.deps, await there.who(), asked.id, ChallengeAction.DENY)
