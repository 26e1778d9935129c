"""What admin says, kept as projections, and what follows for the jobs (docs/flows/provisioning.md, steps 3 and 8)."""

from services.provisioning.domain.person import Person, sessions_ended, touched
from services.provisioning.domain.steps import concerns
from services.provisioning.domain.wanted import is_urgent
from services.provisioning.ports import Dependencies
from shared.contracts.admin import (
    AccountChanged,
    AuthenticatorChanged,
    AuthenticatorStatus,
    ProfileChanged,
    TenantConfigured,
)
from shared.contracts.envelope import VerifiedMessage


async def tenant_configured(deps: Dependencies, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep in which of Microsoft's clouds the tenant's directory is."""
    await deps.tenants.keep(received)


async def account_changed(deps: Dependencies, received: VerifiedMessage[AccountChanged]) -> None:
    """`admin.account.changed.v1`: keep it, then see whether there is something to do."""
    if not await deps.accounts.knows(received):
        await deps.accounts.keep_account(received)
        await _touch(deps, received.tenant, received.message.account)


async def profile_changed(deps: Dependencies, received: VerifiedMessage[ProfileChanged]) -> None:
    """`admin.profile.changed.v1`: keep it, then see whether there is something to do."""
    if not await deps.accounts.knows(received):
        await deps.accounts.keep_profile(received)
        await _touch(deps, received.tenant, received.message.account)


async def _touch(deps: Dependencies, tenant: str, account: str) -> None:
    """The job is made due after the rows are kept: a process that dies between looks through all when it starts."""
    connection = await deps.connections.get(tenant)
    if connection is None or connection.state == "off":
        return  # whoever sets it finds the account by a sweep
    found, profile = await deps.accounts.get(tenant, account), await deps.accounts.profile(tenant, account)
    if found is None or profile is None:
        return
    now = deps.clock.now()

    def due(before: Person) -> Person | None:
        if not concerns(found, before):
            return None
        return touched(before, found.order, profile.order, now, urgent=is_urgent(found))

    if await deps.people.touch(tenant, account, due, now) is not None:
        deps.queue.wake(tenant)


async def authenticator_changed(deps: Dependencies, received: VerifiedMessage[AuthenticatorChanged]) -> None:
    """`admin.authenticator.changed.v1`: Microsoft's sessions end with a phone that counts no longer.

    Whether it opened one of them is not known, so all of the person's are revoked. What has no job has no user of ours.
    """
    said = received.message
    if said.status is not AuthenticatorStatus.REVOKED or not said.account:
        return
    person = await deps.people.get(received.tenant, said.account)
    if person is None or sessions_ended(person, said.authenticator, deps.clock.now()) is None:
        return
    now = deps.clock.now()
    changed = await deps.people.touch(
        received.tenant, said.account, lambda before: sessions_ended(before, said.authenticator, now), now
    )
    if changed is not None:
        deps.queue.wake(received.tenant)
