"""What the operator does on the command line, recorded in the tenant as an administrator's acts are.

The record says `operator`, and no name: whoever has the command line has the database and the keys, so a name would be
nobody's word.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.roles import Act, Operator
from services.admin.domain.tenants import Tenant
from services.admin.handlers.accounts import show_account
from services.admin.handlers.recording import Record, recorded
from services.admin.handlers.tenants import create_tenant, new_tenant, show_tenant
from services.admin.ports import Dependencies
from shared.clouds import CloudName
from shared.errors import Conflict

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


async def make_tenant(deps: Dependencies, slug: str, name: str, *, cloud: CloudName = "worldwide") -> Tenant:
    """`create_tenant`, recorded in the new tenant. What is refused beforehand is recorded nowhere.

    Raises BadInput, Conflict, Unavailable.
    """
    tenant = new_tenant(slug, name, cloud=cloud)
    if await deps.tenants.get(tenant.slug) is not None:
        raise Conflict("admin.tenant.exists", tenant=slug)
    async with recorded(
        deps, Operator(tenant.slug), Act.CREATE_TENANT, subject_id=tenant.slug, subject=tenant.name
    ):
        return await create_tenant(deps, slug, name, cloud=cloud)


async def roll_keys(
    deps: Dependencies, slug: str, step: str, work: Callable[[], Awaitable[T]], *, at_once: bool = False
) -> T:
    """What `work` returns, a step of a key roll-over that wsfed takes, recorded as an administrator's is.

    `step`: one of those of `KeyStep`, or `emergency`. Raises NotFound, Unavailable, and what `work` raises.
    """
    tenant = await show_tenant(deps, slug)
    async with recorded(deps, Operator(slug), Act.ROLL_KEYS, subject_id=slug, subject=tenant.name) as record:
        record.after = {"key_step": step, **({"at_once": "yes"} if at_once else {})}
        return await work()
