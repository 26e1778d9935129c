"""Remove a person, undo it within 30 days, and make it final (docs/flows/removal.md)."""

from collections.abc import Sequence

import structlog

from services.admin.domain import accounts as rules
from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import Reason
from services.admin.domain.devices import ListedDevice
from services.admin.handlers.accounts import change_account, show_account
from services.admin.handlers.common import withdraw_open
from services.admin.handlers.devices import list_devices, revoke
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies

log = structlog.get_logger(__name__)

FINISH_EVERY = 60.0
"""Seconds between two searches for removals that are to be made final."""
FINISH_BATCH = 100


async def remove(deps: Dependencies, slug: str, name: str) -> Account:
    """Steps 1 and 2: no sign-in any more, and everything that was begun is over. For 30 days it can be undone and the
    user name stays taken; phones and the open invitation are gone at once. Raises NotFound, Conflict.
    """
    account = await show_account(deps, slug, name)
    removed = await change_account(
        deps, account, lambda before: rules.remove(before, deps.clock.now()), name=name
    )
    await withdraw_open(deps, removed)
    await _end_phones(deps, removed, await list_devices(deps, slug, removed.id))
    return removed


async def restore(deps: Dependencies, slug: str, name: str) -> Account:
    """Step 5: the person as if newly made: invited, or suspended if they were, and without any phone.

    What a removal that was killed half-way has left is ended first. The phones are read before the account is seen to
    be removed: one of somebody who was restored meanwhile, and enrolled anew, is none of them.
    Raises NotFound, Conflict (not removed; removed for good), BadInput (the domain is the tenant's no more).
    """
    tenant = await show_tenant(deps, slug)
    account = await show_account(deps, slug, name)
    phones = await list_devices(deps, slug, account.id)
    removed = await show_account(deps, slug, account.id)
    rules.restore(removed, deps.clock.now())
    rules.check_upn(removed.upn, tenant)
    await withdraw_open(deps, removed)
    await _end_phones(deps, removed, phones)
    return await change_account(
        deps, removed, lambda before: rules.restore(before, deps.clock.now()), name=name
    )


async def _end_phones(deps: Dependencies, account: Account, phones: Sequence[ListedDevice]) -> None:
    for phone in phones:
        if phone.may_count:
            await revoke(deps, account, phone, Reason.ACCOUNT_REMOVED)


async def finish_removals(deps: Dependencies) -> int:
    """Step 7: make the removals final whose time is over, at most `FINISH_BATCH` at once; how many were found.

    Any replica may do it, and any number at once: each write asks again. Names of phones go first, because the account
    is not found any more once it is a tombstone. Raises Unavailable.
    """
    now = deps.clock.now()
    found = await deps.accounts.removals_over(now, FINISH_BATCH)
    for account in found:
        for authenticator in await deps.authenticators.of(account.tenant, account.id):
            await deps.authenticators.change(
                account.tenant, authenticator.id, lambda before: before.without_name()
            )
        finished = await deps.accounts.change(
            account.tenant, account.id, lambda before: rules.finish_removal(before, now)
        )
        if finished is not None:
            log.info("account.removed_for_good", tenant=account.tenant, account=account.id)
    return len(found)


async def forget_removed(deps: Dependencies) -> int:
    """Make tombstones of accounts that an earlier release removed for good and left the names in; of how many.

    For `blok365 migrate`. Safe to repeat and to interrupt. Raises Unavailable.
    """
    count = 0
    while found := await deps.accounts.named_tombstones(FINISH_BATCH):
        for account in found:
            count += await deps.accounts.change(account.tenant, account.id, rules.forget) is not None
    return count


async def finish_removals_forever(deps: Dependencies) -> None:
    """`finish_removals` again and again, at once while there is more than it takes. Raises Unavailable."""
    while True:
        if await finish_removals(deps) < FINISH_BATCH:
            await deps.clock.sleep(FINISH_EVERY)
