"""What administrators do to people in the console: each act is checked, recorded, and done by the same handler as the
command line's. Each takes the account's id, never a user name: a page says exactly whom it showed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.browsers import Browser
from services.admin.domain.devices import ListedDevice
from services.admin.domain.invitations import Invitation
from services.admin.domain.roles import RULES, Act, Actor, Role
from services.admin.domain.search import indexed, matches, wanted
from services.admin.handlers.accounts import (
    AccountPage,
    Details,
    DetailsChanged,
    NewAccount,
    read_cursor,
    write_cursor,
)
from services.admin.handlers.common import checked_limit, withdraw_open
from services.admin.handlers.recording import Record, note_details, recorded
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus
from shared.contracts.provisioning import ConnectionChanged, PersonChanged
from shared.contracts.wsfed import SignInAttempt
from shared.errors import BadInput, Conflict, NotFound

BATCH = 200
"""Accounts that a search reads at once."""


@dataclass(frozen=True, slots=True)
class Person:
    """Everything that a person's page shows, as it was read.

    `protected`: it is an administrator's account, or holds an administrator role in Entra (`holds_role`). `own`: it is
    that of the administrator who looks.
    """

    account: Account
    devices: Sequence[ListedDevice]
    browsers: Sequence[Browser]
    sign_ins: Sequence[SignInAttempt]
    """The latest first: the last 50 that a device answered, and the last 10 that none did."""
    invitation: Invitation | None
    frozen: bool
    protected: bool
    own: bool
    connection: ConnectionChanged | None = None
    """The tenant's connection to Entra; None while there is none."""
    link: PersonChanged | None = None
    """What became of the person there, as provisioning said it last."""

    @property
    def holds_role(self) -> bool:
        """Whether their user in Entra held an administrator role when it was read last. False also when not known."""
        return _holds_role(self.link)


def _holds_role(link: PersonChanged | None) -> bool:
    return link is not None and link.holds_directory_role is True


async def find_people(
    deps: Dependencies,
    actor: Actor,
    *,
    query: str = "",
    status: AccountStatus | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> AccountPage:
    """People in the order of their user names; without a status, all but removed ones.

    `query`: beginnings of words of name, user name or address. Raises Forbidden, BadInput (limit, cursor).
    """
    actor.require(Act.SEE_PEOPLE, deps.clock.now())
    limit, words = checked_limit(limit), wanted(query)
    after = None if cursor is None else read_cursor(cursor)
    found: list[Account] = []
    while len(found) <= limit:
        size = BATCH if words else limit + 1
        page = await deps.accounts.page(
            actor.tenant,
            after=after,
            status=status,
            limit=size,
            live=status is None,
            beginnings=indexed(words),
        )
        found += [each for each in page if matches(each, words)]
        if len(page) < size:
            break
        after = (page[-1].upn, page[-1].id)
    last = found[limit - 1] if len(found) > limit else None
    return AccountPage(tuple(found[:limit]), None if last is None else write_cursor(last))


async def show_person(deps: Dependencies, actor: Actor, account_id: str) -> Person:
    """A person with devices, browsers and invitation. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_PEOPLE, deps.clock.now())
    account = await _account(deps, actor, account_id)
    team = await deps.teams.get(actor.tenant)
    invitation = await deps.invitations.open_of(actor.tenant, account.id)
    if invitation is not None and deps.clock.now() >= invitation.expires_at:
        invitation = None
    removed = account.status is AccountStatus.REMOVED
    link = await deps.directory.person(actor.tenant, account.id)
    return Person(
        account=account,
        devices=await handlers.list_devices(deps, actor.tenant, account.id),
        browsers=() if removed else await handlers.list_browsers(deps, actor.tenant, account.id),
        sign_ins=await deps.sign_ins.of(actor.tenant, account.id),
        invitation=invitation,
        frozen=bool(await deps.freezes.of(actor.tenant, account.id)),
        protected=team.protects(account) or _holds_role(link),
        own=team.owned_by(account, actor),
        connection=await deps.directory.connection(actor.tenant),
        link=link,
    )


def allowed(actor: Actor, act: Act, person: Person) -> bool:
    """Whether a page offers the act. What decides is asked again when it is done."""
    if not actor.may(act):
        return False
    if not RULES[act].protects:
        return True
    return not person.own and (not person.protected or actor.role is Role.OWNER)


async def create_person(deps: Dependencies, actor: Actor, new: NewAccount, *, invite: bool) -> Account:
    """A new account, and its invitation by mail if that is wished. Raises Forbidden, BadInput, Conflict."""
    actor.require(Act.CREATE_ACCOUNT, deps.clock.now())
    async with recorded(deps, actor, Act.CREATE_ACCOUNT, subject=new.upn[:120]) as record:
        account = await handlers.create_account(deps, actor.tenant, new)
        record.subject_id, record.subject = account.id, account.upn
        record.after |= {"name": account.display_name, "status": account.status.value}
        if account.licences:
            record.after["licences"] = str(len(account.licences))
        if invite:
            await handlers.invite(deps, actor.tenant, account.id)
            record.after["invited"] = "yes"
    return account


async def invite_person(deps: Dependencies, actor: Actor, account_id: str) -> Invitation:
    """Mail a new invitation; an open one is withdrawn. Raises Forbidden, NotFound, Conflict."""
    async with on_account(deps, actor, Act.INVITE, account_id) as (account, record):
        link = await handlers.invite(deps, actor.tenant, account.id)
        record.after["until"] = f"{link.invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        return link.invitation


async def withdraw_invitation(deps: Dependencies, actor: Actor, account_id: str) -> None:
    """Make the open invitation worthless. Raises Forbidden, NotFound, Conflict (there is none)."""
    async with on_account(deps, actor, Act.WITHDRAW_INVITATION, account_id) as (account, _):
        if await deps.invitations.open_of(actor.tenant, account.id) is None:
            raise Conflict("admin.invitation.none", upn=account.upn)
        await withdraw_open(deps, account)


async def suspend_person(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    """No sign-in until resumed. Raises Forbidden, NotFound, Conflict."""
    async with on_account(deps, actor, Act.SUSPEND, account_id) as (account, record):
        changed = await handlers.suspend(deps, actor.tenant, account.id)
        _status(record, account, changed)
        return changed


async def resume_person(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    """End a suspension. Raises Forbidden, NotFound, Conflict."""
    async with on_account(deps, actor, Act.RESUME, account_id) as (account, record):
        changed = await handlers.resume(deps, actor.tenant, account.id)
        _status(record, account, changed)
        return changed


async def remove_person(deps: Dependencies, actor: Actor, account_id: str, *, typed: str) -> Account:
    """Remove the account, which can be undone for 30 days. `typed`: the user name, as the administrator typed it.

    Raises Forbidden, NotFound, BadInput (something else was typed), Conflict.
    """
    async with on_account(deps, actor, Act.REMOVE_ACCOUNT, account_id) as (account, record):
        if typed.strip().lower() != account.upn:
            raise BadInput("admin.console.typed", upn=account.upn)
        changed = await handlers.remove(deps, actor.tenant, account.id)
        _status(record, account, changed)
        return changed


async def restore_person(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    """Undo a removal. Raises Forbidden, StepUpNeeded, NotFound, Conflict (not removed, or for good), BadInput."""
    async with on_account(deps, actor, Act.RESTORE_ACCOUNT, account_id) as (account, record):
        changed = await handlers.restore(deps, actor.tenant, account.id)
        _status(record, account, changed)
        return changed


async def sign_person_out(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    """Sign the person out everywhere. Raises Forbidden, NotFound, Conflict."""
    async with on_account(deps, actor, Act.SIGN_OUT_EVERYWHERE, account_id) as (account, _):
        return await handlers.sign_out_everywhere(deps, actor.tenant, account.id)


async def rename_person(
    deps: Dependencies, actor: Actor, account_id: str, upn: str, *, expected_version: int
) -> Account:
    """Another user name. `expected_version`: of the account as the page showed it.

    Raises Forbidden, NotFound, BadInput, Conflict (taken; changed meanwhile).
    """
    async with on_account(deps, actor, Act.RENAME, account_id) as (account, record):
        changed = await handlers.rename(
            deps, actor.tenant, account.id, upn, expected_version=expected_version
        )
        record.before["upn"], record.after["upn"] = account.upn, changed.upn
        return changed


async def change_persons_details(
    deps: Dependencies, actor: Actor, account_id: str, new: Details, *, expected_version: int
) -> DetailsChanged:
    """Other names or another address. `expected_version`: of the account as the page showed it.

    Raises Forbidden, NotFound, BadInput, Conflict (removed; changed meanwhile).
    """
    async with on_account(deps, actor, Act.CHANGE_DETAILS, account_id) as (account, record):
        changed = await handlers.change_details(
            deps, actor.tenant, account.id, new, expected_version=expected_version
        )
        note_details(record, changed)
        return changed


async def unfreeze_person(deps: Dependencies, actor: Actor, account_id: str) -> None:
    """Let unknown browsers ask for notifications again. Raises Forbidden, NotFound, Conflict."""
    async with on_account(deps, actor, Act.UNFREEZE, account_id) as (account, _):
        await handlers.unfreeze(deps, actor.tenant, account.id)


async def remove_persons_device(deps: Dependencies, actor: Actor, account_id: str, device: str) -> None:
    """Take a device out of use. Raises Forbidden, NotFound."""
    async with on_account(deps, actor, Act.REMOVE_DEVICE, account_id) as (account, record):
        for each in await handlers.remove_device(deps, actor.tenant, account.id, device):
            record.before["device"] = each.name or each.id


async def remove_persons_browser(deps: Dependencies, actor: Actor, account_id: str, browser: str) -> None:
    """Make a browser a stranger's. Raises Forbidden, NotFound."""
    async with on_account(deps, actor, Act.REMOVE_BROWSER, account_id) as (account, record):
        found = await handlers.remove_browser(deps, actor.tenant, account.id, browser)
        record.before["browser"] = found.agent


@asynccontextmanager
async def on_account(
    deps: Dependencies, actor: Actor, act: Act, account_id: str
) -> AsyncIterator[tuple[Account, Record]]:
    """The account of an act that this administrator may do to it, with the record under way.

    Raises Forbidden, StepUpNeeded, NotFound.
    """
    account = await _account(deps, actor, account_id)
    team = await deps.teams.get(actor.tenant)
    actor.require_on(
        act,
        deps.clock.now(),
        account=account.id,
        protected=team.protects(account)
        or _holds_role(await deps.directory.person(actor.tenant, account.id)),
        own=team.owned_by(account, actor),
    )
    async with recorded(deps, actor, act, subject_id=account.id, subject=account.upn) as record:
        yield account, record


async def _account(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    found = await deps.accounts.get(actor.tenant, account_id)
    if found is None or found.is_tombstone:
        raise NotFound
    return found


def _status(record: Record, before: Account, after: Account) -> None:
    record.before["status"], record.after["status"] = before.status.value, after.status.value
