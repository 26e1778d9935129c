"""People: accounts and what becomes of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.admin import domain
from services.admin.domain import Account, Step, Tenant
from services.admin.handlers.common import BATCH, TRIES, Admin, checked_limit, withdraw_open
from services.admin.handlers.tenants import show_tenant
from shared.contracts.admin import AccountStatus
from shared.errors import BadInput, Conflict, NotFound
from shared.ids import b64u, new_id, unb64u


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an administrator types for a new person."""

    upn: str
    first_name: str
    last_name: str
    email: str
    display_name: str = ""
    """First and last name unless given."""


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One page of a list. `cursor` leads to the next one; None at the end."""

    accounts: tuple[Account, ...]
    cursor: str | None


async def create_account(admin: Admin, slug: str, new: NewAccount) -> Account:
    """A new person, status `invited`; `invite` makes the link. Raises NotFound, BadInput, Conflict."""
    tenant = await show_tenant(admin, slug)
    account = _account(admin, tenant, new)
    if not await admin.accounts.add(account, admin.account_message(account)):
        raise Conflict("admin.account.exists", upn=account.upn)
    return account


async def create_accounts(admin: Admin, slug: str, new: Iterable[NewAccount]) -> int:
    """Many people at once; how many were tried. A user name that is taken is left as it is.

    The other services learn of them from their next pulls. At most `BATCH` a second are made, so that pulls keep up
    and nothing else gets old meanwhile. Raises NotFound, BadInput.
    """
    tenant = await show_tenant(admin, slug)
    batch: list[Account] = []
    count = 0
    for count, one in enumerate(new, start=1):
        batch.append(_account(admin, tenant, one))
        if len(batch) == BATCH:
            if count > BATCH:
                await admin.clock.sleep(1)
            await admin.accounts.add_many(batch)
            batch = []
    if batch:
        await admin.accounts.add_many(batch)
    return count


def _account(admin: Admin, tenant: Tenant, new: NewAccount) -> Account:
    account_id = new_id(admin.ids)
    first = domain.check_name(new.first_name, "first name")
    last = domain.check_name(new.last_name, "last name")
    display = new.display_name or f"{first} {last}"
    return Account(
        id=account_id,
        tenant=tenant.slug,
        upn=domain.check_upn(new.upn, tenant),
        first_name=first,
        last_name=last,
        display_name=domain.check_name(display, "display name", longest=domain.MAX_DISPLAY_NAME),
        email=domain.check_email(new.email),
        immutable_id=domain.immutable_id(account_id),
        status=AccountStatus.INVITED,
        enrolled=False,
        created_at=admin.clock.now(),
    )


async def show_account(admin: Admin, slug: str, name: str) -> Account:
    """The account with that user name or id. Raises NotFound, the same for another tenant's."""
    if "@" in name:
        account = await admin.accounts.by_upn(slug, name.strip().lower())
    else:
        account = await admin.accounts.get(slug, name)
    if account is None:
        raise NotFound("admin.account.unknown", account=name[:120], tenant=slug[:40])
    return account


async def list_accounts(
    admin: Admin,
    slug: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
    status: AccountStatus | None = None,
) -> AccountPage:
    """People in the order of their user names. Raises NotFound, BadInput (limit, cursor)."""
    limit = checked_limit(limit)
    await show_tenant(admin, slug)
    after = None if cursor is None else _read_cursor(cursor)
    found = tuple(await admin.accounts.page(slug, after=after, status=status, limit=limit + 1))
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return AccountPage(page, None if last is None else b64u(f"{last.upn}\n{last.id}".encode()))


async def suspend(admin: Admin, slug: str, name: str) -> Account:
    """No sign-in until resumed. Raises NotFound, Conflict."""
    return await _step(admin, slug, name, Step.SUSPEND)


async def resume(admin: Admin, slug: str, name: str) -> Account:
    """Back to active, or to invited when no phone was ever enrolled. Raises NotFound, Conflict."""
    return await _step(admin, slug, name, Step.RESUME)


async def remove(admin: Admin, slug: str, name: str) -> Account:
    """For good. The open invitation is withdrawn; the user name is free again. Raises NotFound, Conflict."""
    account = await _step(admin, slug, name, Step.REMOVE)
    await withdraw_open(admin, account)
    return account


async def _step(admin: Admin, slug: str, name: str, what: Step) -> Account:
    account_id = (await show_account(admin, slug, name)).id
    for _ in range(TRIES):
        before = await show_account(admin, slug, account_id)
        after = domain.step(before, what)
        if await admin.accounts.replace(after, admin.account_message(after)):
            return after
    raise Conflict("admin.account.being_changed", account=name)


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        upn, _, account = unb64u(cursor).decode().partition("\n")
    except ValueError as error:
        raise BadInput("admin.page.cursor") from error
    return upn, account
