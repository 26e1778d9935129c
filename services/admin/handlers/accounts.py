"""Use cases of accounts: create, list, change, suspend, resume, sign out everywhere. Removal is in `removals.py`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.admin.domain import accounts as rules
from services.admin.domain.accounts import Account, AccountAction, AccountId, apply_action
from services.admin.domain.names import check_name
from services.admin.domain.tenants import Tenant
from services.admin.handlers.common import checked_limit, withdraw_open
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus
from shared.errors import BadInput, Conflict, NotFound
from shared.ids import b64u, new_id, unb64u
from shared.store.aggregate import NotUnique

BATCH = 500
"""How many accounts `create_accounts` makes in one write."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an administrator types for a new person."""

    upn: str
    first_name: str
    last_name: str
    email: str
    display_name: str = ""
    """The display name; first and last name unless given."""
    usage_location: str = ""
    """Country of two letters."""
    licences: tuple[str, ...] = ()
    """SKU ids (`directory.chosen_licences`)."""


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One page of a list. `cursor` leads to the next one; None at the end."""

    accounts: tuple[Account, ...]
    cursor: str | None


async def create_account(deps: Dependencies, slug: str, new: NewAccount) -> Account:
    """A new account, status `invited`; `invite` makes its link. Raises NotFound, BadInput, Conflict."""
    tenant = await show_tenant(deps, slug)
    account = _account(deps, tenant, new)
    if not await deps.accounts.add(account):
        raise await _taken(deps, slug, account.upn)
    return account


async def _taken(deps: Dependencies, slug: str, upn: str) -> Conflict:
    """Why that user name cannot be given: to whom it belongs, and until when if that person was removed."""
    holder = await deps.accounts.by_upn(slug, upn)
    if holder is not None and holder.removal is not None:
        return Conflict("admin.account.removed_holds", upn=upn, until=f"{holder.removal.final_at:%Y-%m-%d}")
    return Conflict("admin.account.exists", upn=upn)


async def create_accounts(deps: Dependencies, slug: str, new: Iterable[NewAccount]) -> int:
    """Many accounts at once. Returns how many were tried; an account whose user name is taken stays as it is.

    The other services learn of them from their next pulls. At most `BATCH` a second are made, so that pulls keep up
    and other news is not held up behind them. Raises NotFound, BadInput.
    """
    tenant = await show_tenant(deps, slug)
    batch: list[Account] = []
    count = 0
    for count, one in enumerate(new, start=1):
        batch.append(_account(deps, tenant, one))
        if len(batch) == BATCH:
            if count > BATCH:
                await deps.clock.sleep(1)
            await deps.accounts.add_many(batch)
            batch = []
    if batch:
        await deps.accounts.add_many(batch)
    return count


def _account(deps: Dependencies, tenant: Tenant, new: NewAccount) -> Account:
    account_id = new_id(deps.ids)
    first = check_name(new.first_name, "first name")
    last = check_name(new.last_name, "last name")
    return Account(
        id=account_id,
        tenant=tenant.slug,
        upn=rules.check_upn(new.upn, tenant),
        first_name=first,
        last_name=last,
        display_name=_display_name(new.display_name, first, last),
        email=rules.check_email(new.email),
        immutable_id=rules.immutable_id(account_id),
        status=AccountStatus.INVITED,
        enrolled=False,
        created_at=deps.clock.now(),
        usage_location=rules.check_location(new.usage_location),
        licences=new.licences,
    )


def _display_name(text: str, first: str, last: str) -> str:
    """The display name that was typed, or the usual one. `first`, `last`: checked. Raises BadInput."""
    if not text.strip():
        return rules.usual_display_name(first, last)
    return check_name(text, "display name", longest=rules.MAX_DISPLAY_NAME)


async def show_account(deps: Dependencies, slug: str, name: str) -> Account:
    """The account with that user name or id. A removed person has their user name until the removal is final.

    Raises NotFound, with the same text for another tenant's account as for none, so that nobody can probe for them; a
    tenant that does not exist is named as what is missing.
    """
    if "@" in name:
        account = await deps.accounts.by_upn(slug, name.strip().lower())
    else:
        account = await deps.accounts.get(slug, name)
    if account is None:
        await show_tenant(deps, slug)
    return _found(account, slug, name)


async def list_accounts(
    deps: Dependencies,
    slug: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
    status: AccountStatus | None = None,
) -> AccountPage:
    """Accounts in the order of their user names, without those that were removed for good.

    Raises NotFound, BadInput (limit, cursor).
    """
    limit = checked_limit(limit)
    await show_tenant(deps, slug)
    after = None if cursor is None else read_cursor(cursor)
    found = tuple(await deps.accounts.page(slug, after=after, status=status, limit=limit + 1))
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return AccountPage(page, None if last is None else write_cursor(last))


async def suspend(deps: Dependencies, slug: str, name: str) -> Account:
    """Suspended: no sign-in until it is resumed. Its devices stay enrolled; everything else that was begun is over,
    as after `sign_out_everywhere`. Raises NotFound, Conflict.
    """
    return await _end_what_was_begun(deps, slug, name, AccountAction.SUSPEND)


async def resume(deps: Dependencies, slug: str, name: str) -> Account:
    """Back to active, or to invited when no phone was ever enrolled. Raises NotFound, Conflict."""
    return await _act(deps, slug, name, AccountAction.RESUME)


async def sign_out_everywhere(deps: Dependencies, slug: str, name: str) -> Account:
    """End every session, known browser, session of a phone, open invitation and sign-in under way of the person.

    The devices stay enrolled: the person signs in again with them. Microsoft's own sessions go on until they are
    revoked there. Raises NotFound, Conflict (removed).
    """
    return await _end_what_was_begun(deps, slug, name, AccountAction.SIGN_OUT_EVERYWHERE)


async def rename(
    deps: Dependencies, slug: str, name: str, upn: str, *, expected_version: int | None = None
) -> Account:
    """The person under another user name, from now on. `expected_version`: what the administrator had on the screen.

    Raises NotFound, BadInput, Conflict (taken, removed, changed meanwhile).
    """
    tenant = await show_tenant(deps, slug)
    account = await show_account(deps, slug, name)
    checked = rules.check_upn(upn, tenant)
    try:
        return await change_account(
            deps,
            account,
            lambda before: rules.rename(before, checked),
            name=name,
            expected_version=expected_version,
        )
    except NotUnique as error:
        raise await _taken(deps, slug, checked) from error


@dataclass(frozen=True, slots=True)
class Details:
    """What `change_details` is to change. None: that stays as it is."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    display_name: str | None = None
    """Empty: first and last name, as they are then. None: the same for whoever was given none of their own."""


@dataclass(frozen=True, slots=True)
class DetailsChanged:
    """An account before and after a change of its details; the same when nothing differed."""

    before: Account
    after: Account
    withdrawn: bool
    """Whether an open invitation was withdrawn, because its link had gone to the address of before."""

    @property
    def other_address(self) -> bool:
        """Whether the address is another one."""
        return self.before.email != self.after.email


async def change_details(
    deps: Dependencies, slug: str, name: str, new: Details, *, expected_version: int | None = None
) -> DetailsChanged:
    """Other names or another address of the person, from now on (docs/flows/change-details.md, steps 1 and 2).
    `expected_version`: of the account as the administrator had it on the screen.

    Raises NotFound, BadInput, Conflict (removed, changed meanwhile).
    """
    account = await show_account(deps, slug, name)
    first = None if new.first_name is None else check_name(new.first_name, "first name")
    last = None if new.last_name is None else check_name(new.last_name, "last name")
    email = None if new.email is None else rules.check_email(new.email)
    seen = [account]

    def step(before: Account) -> Account | None:
        if expected_version is not None and before.version != expected_version:
            raise Conflict("admin.account.changed", upn=before.upn)
        seen[0] = before
        first_name, last_name = first or before.first_name, last or before.last_name
        typed = new.display_name
        if typed is None:
            typed = before.display_name if before.has_own_display_name else ""
        return rules.change_details(
            before,
            first_name=first_name,
            last_name=last_name,
            display_name=_display_name(typed, first_name, last_name),
            email=email or before.email,
        )

    changed = await deps.accounts.change(
        slug, account.id, step, busy=Conflict("admin.account.being_changed", account=name)
    )
    before, after = seen[0], changed or seen[0]
    withdrawn = before.email != after.email and await withdraw_open(deps, after)
    return DetailsChanged(before, after, withdrawn)


async def _end_what_was_begun(deps: Dependencies, slug: str, name: str, action: AccountAction) -> Account:
    """The account after an action that raises its session epoch. That alone makes an open invitation worthless; it is
    withdrawn besides, so that it does not look open for a day.
    """
    account = await _act(deps, slug, name, action)
    await withdraw_open(deps, account)
    return account


async def _act(deps: Dependencies, slug: str, name: str, action: AccountAction) -> Account:
    account = await show_account(deps, slug, name)
    return await change_account(deps, account, lambda before: apply_action(before, action), name=name)


async def change_account(
    deps: Dependencies,
    account: Account,
    step: Callable[[Account], Account],
    *,
    name: str,
    expected_version: int | None = None,
) -> Account:
    """The account after a step that is taken on it as it is stored now. `name`: as the administrator named it.
    `expected_version`: what the administrator had on the screen.

    Raises what the step raises, NotFound, NotUnique, Conflict (changed meanwhile).
    """

    def checked(before: Account) -> Account:
        if expected_version is not None and before.version != expected_version:
            raise Conflict("admin.account.changed", upn=before.upn)
        return step(before)

    busy = Conflict("admin.account.being_changed", account=name)
    changed = await deps.accounts.change(account.tenant, account.id, checked, busy=busy)
    return _found(changed, account.tenant, name)


def _found(account: Account | None, slug: str, name: str) -> Account:
    if account is None:
        raise NotFound("admin.account.unknown", account=name[:120], tenant=slug[:40])
    return account


def write_cursor(last: Account) -> str:
    """The cursor to what comes after that account."""
    return b64u(f"{last.upn}\n{last.id}".encode())


def read_cursor(cursor: str) -> tuple[str, AccountId]:
    """User name and id that a cursor names. Raises BadInput."""
    try:
        upn, _, account = unb64u(cursor).decode().partition("\n")
    except ValueError as error:
        raise BadInput("admin.page.cursor") from error
    return upn, account
