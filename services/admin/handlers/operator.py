"""What the operator does on the command line, recorded in the tenant as an administrator's acts are.

The record says `operator`, and no name: whoever has the command line has the database and the keys, so a name would be
nobody's word.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.roles import Act, Operator
from services.admin.handlers.accounts import show_account
from services.admin.handlers.recording import Record, recorded
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies

T = TypeVar("T")


async def operate(
    deps: Dependencies,
    tenant: str,
    act: Act,
    work: Callable[[Record], Awaitable[T]],
    *,
    subject: str = "",
) -> T:
    """What `work` returns, recorded as that act.

    Raises NotFound (no such tenant), Unavailable, and what `work` raises.
    """
    await show_tenant(deps, tenant)
    async with recorded(deps, Operator(tenant), act, subject=subject) as record:
        return await work(record)


async def operate_on(
    deps: Dependencies,
    tenant: str,
    act: Act,
    who: str,
    work: Callable[[AccountId, Record], Awaitable[T]],
) -> T:
    """The same for an act on an account, by user name or id. A status or a user name that changes is in the record.

    Raises NotFound, Unavailable, and what `work` raises.
    """
    before = await show_account(deps, tenant, who)
    async with recorded(
        deps, Operator(tenant), act, subject_id=before.id, subject=before.upn or before.id
    ) as record:
        result = await work(before.id, record)
        if isinstance(result, Account):
            for name, old, new in (
                ("status", before.status.value, result.status.value),
                ("upn", before.upn, result.upn),
            ):
                if old != new:
                    record.before[name], record.after[name] = old, new
        return result
