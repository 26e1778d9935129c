"""`admin.invitation.renew.v1`: a new link for somebody whose link no longer works. admin alone decides and counts.

approval's word limits nothing, so each test says it as a taken-over approval could: again, late, of anybody.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services.admin import handlers
from services.admin.domain.accounts import Account, AccountAction, apply_action
from services.admin.domain.invitations import RENEWALS_A_DAY, Invitation
from services.admin.handlers.common import withdraw_open
from shared.contracts.admin import RenewInvitation
from shared.contracts.envelope import SignedMessage
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem

DAY = 24 * 3600


def signed(system: AdminSystem, account: Account, invitation: str, tenant: str = CONTOSO) -> SignedMessage:
    command = RenewInvitation(invitation=invitation, account=account.id)
    return system.world.signer("approval").sign(command, tenant=tenant)


async def ask(system: AdminSystem, account: Account, invitation: str, tenant: str = CONTOSO) -> None:
    await system.world.bus.publish([signed(system, account, invitation, tenant)])
    await system.world.settle()


def invitations(system: AdminSystem, account: Account) -> list[dict[str, object]]:
    found = [d for d in system.world.documents("admin", "invitations") if d["account"] == account.id]
    return sorted(found, key=lambda each: each["issued_at"])


def mails(system: AdminSystem) -> list[SignedMessage]:
    return [each for each in system.world.bus.sent if each.type == "notify.mail.send.v1"]


async def invited(system: AdminSystem) -> tuple[Account, Invitation]:
    """Ada, whose link has expired."""
    account = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, account.id)
    system.world.clock.advance(DAY + 1)
    await system.world.settle()
    return account, link.invitation


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_link_brings_a_new_one_by_mail(system: AdminSystem, swept: bool) -> None:
    account, old = await invited(system)
    if swept:
        system.world.clock.advance(timedelta(minutes=11).total_seconds())
        assert await handlers.expire_invitations(system.deps) == 1
    await ask(system, account, old.id)
    before, after = invitations(system, account)
    assert (before["status"], after["status"]) == ("expired" if swept else "withdrawn", "open")
    assert after["expires_at"] == system.world.clock.now() + timedelta(hours=24)
    assert len(mails(system)) == 2


async def test_a_command_that_comes_twice_and_late_brings_one_mail(system: AdminSystem) -> None:
    account, old = await invited(system)
    command = signed(system, account, old.id)
    for later in (0, 0, 120, 300):
        system.world.clock.advance(later)
        await system.world.bus.publish([command])
        await system.world.settle()
    assert len(mails(system)) == 2
    system.world.clock.advance(DAY)
    await system.world.bus.publish([command])
    await system.world.settle()
    assert len(mails(system)) == 2


async def test_three_a_day_whoever_asks_however_often(system: AdminSystem) -> None:
    account, old = await invited(system)
    for _ in range(20):
        system.world.clock.advance(61)
        await ask(system, account, old.id)
    assert len(mails(system)) == 1 + RENEWALS_A_DAY
    latest = str(invitations(system, account)[-1]["_id"])
    await ask(system, account, latest)  # by the newest link neither
    assert len(mails(system)) == 1 + RENEWALS_A_DAY
    system.world.clock.advance(DAY)
    await ask(system, account, latest)
    assert len(mails(system)) == 2 + RENEWALS_A_DAY


async def test_a_second_press_within_a_minute_brings_no_second_mail(system: AdminSystem) -> None:
    account, old = await invited(system)
    for _ in range(3):
        await ask(system, account, old.id)
    assert len(mails(system)) == 2


async def test_nothing_after_thirty_days_however_often_it_was_renewed(system: AdminSystem) -> None:
    account, old = await invited(system)
    for _ in range(28):
        await ask(system, account, old.id)
        system.world.clock.advance(DAY)
    assert len(mails(system)) == 29
    system.world.clock.advance(DAY)
    await ask(system, account, old.id)
    assert len(mails(system)) == 29
    link = await handlers.invite(system.deps, CONTOSO, account.id)  # an administrator begins it anew
    system.world.clock.advance(DAY + 1)
    await ask(system, account, link.invitation.id)
    assert len(mails(system)) == 31


async def test_never_for_a_further_phone(system: AdminSystem) -> None:
    """A link for somebody who has had a phone is good for ten minutes, and an administrator saw to it."""
    account, _ = await invited(system)
    await system.deps.accounts.change(CONTOSO, account.id, _enrolled)
    link = await handlers.invite(system.deps, CONTOSO, account.id)
    system.world.clock.advance(3600)
    await ask(system, account, link.invitation.id)
    assert len(mails(system)) == 2


def _enrolled(account: Account) -> Account:
    return apply_action(account, AccountAction.ENROL)


async def _signed_out_while_invited(system: AdminSystem, account: Account) -> None:
    await handlers.sign_out_everywhere(system.deps, CONTOSO, account.id)


async def _suspended_and_resumed(system: AdminSystem, account: Account) -> None:
    await handlers.suspend(system.deps, CONTOSO, account.id)
    await handlers.resume(system.deps, CONTOSO, account.id)


async def _withdrawn(system: AdminSystem, account: Account) -> None:
    await withdraw_open(system.deps, account)


async def _suspended(system: AdminSystem, account: Account) -> None:
    await handlers.suspend(system.deps, CONTOSO, account.id)


async def _removed(system: AdminSystem, account: Account) -> None:
    await handlers.remove(system.deps, CONTOSO, account.id)


async def _restored(system: AdminSystem, _: Account) -> None:
    await handlers.withdraw_all(system.deps)


@pytest.mark.parametrize(
    "end", [_signed_out_while_invited, _suspended_and_resumed, _withdrawn, _suspended, _removed, _restored]
)
async def test_an_old_link_undoes_no_decision_of_an_administrator(
    system: AdminSystem, end: Callable[[AdminSystem, Account], Awaitable[None]]
) -> None:
    account, old = await invited(system)
    await end(system, account)
    for _ in range(2):
        await ask(system, account, old.id)
    assert len(mails(system)) == 1
    assert [each["status"] for each in invitations(system, account)] == ["withdrawn"]


async def test_only_by_an_invitation_of_that_account_and_tenant(system: AdminSystem) -> None:
    """A taken-over approval service has mails sent to nobody whose invitations it does not know."""
    account, old = await invited(system)
    grace = await system.account("grace")
    await ask(system, grace, old.id)
    await ask(system, account, "no such invitation")
    await ask(system, account, old.id, FABRIKAM)
    assert len(mails(system)) == 1
    assert len(system.world.bus.dead_letters) == 3


async def test_a_crash_between_the_two_writes_loses_no_mail_and_makes_no_second(system: AdminSystem) -> None:
    account, old = await invited(system)
    marked = await system.deps.invitations.change(CONTOSO, old.id, lambda before: before.renewed("A" * 22))
    assert marked is not None
    for _ in range(2):
        await ask(system, account, old.id)
    assert [each["_id"] for each in invitations(system, account)] == [old.id, "A" * 22]
    assert len(mails(system)) == 2


async def test_commands_at_once_make_one_open_invitation(stored: AdminSystem) -> None:
    account = await stored.account()
    link = await handlers.invite(stored.deps, CONTOSO, account.id)
    stored.world.clock.advance(DAY + 1)
    commands = [signed(stored, account, link.invitation.id) for _ in range(5)]
    await stored.world.bus.publish(commands)
    await stored.world.settle()
    found = await stored.deps.invitations.latest_of(CONTOSO, account.id)
    assert found is not None
    assert found.status == "open"
    assert found.asked == (stored.world.clock.now(),)
    before = await stored.deps.invitations.get(CONTOSO, link.invitation.id)
    assert before is not None
    assert before.renewed_by == found.id
