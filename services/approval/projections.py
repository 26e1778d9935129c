"""What approval keeps of admin's state: tenants, accounts, invitations, decisions on devices
(docs/flows/enrolment.md, steps 2 and 7).
"""

from services.approval.domain import enrolment
from services.approval.domain.ids import check_ids
from services.approval.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import (
    AccountChanged,
    AuthenticatorChanged,
    InvitationChanged,
    TenantConfigured,
)
from shared.contracts.envelope import Origin, VerifiedMessage


async def tenant_configured(deps: Dependencies, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant's name, which the phone's page shows."""
    await deps.tenants.keep(received)


async def account_changed(deps: Dependencies, received: VerifiedMessage[AccountChanged]) -> None:
    """Keep the account's status and session epoch; they count from the next request on."""
    news = received.message
    check_ids(received.tenant, news.account)
    now = deps.clock.now()
    returned, whole = received.origin is not Origin.SENT, received.origin is Origin.FULL_PULL
    change = await deps.accounts.change(
        received.tenant,
        news.account,
        lambda account: enrolment.account_changed(account, news, now, returned=returned, whole=whole),
        confirm=True,
    )
    if change is None and whole:
        await deps.accounts.confirm(received.tenant, news.account)


async def invitation_changed(deps: Dependencies, received: VerifiedMessage[InvitationChanged]) -> None:
    """Keep the invitation. It may come before its account."""
    news = received.message
    check_ids(received.tenant, news.account, news.invitation)
    try:
        await deps.accounts.change(
            received.tenant, news.account, lambda account: enrolment.invitation_changed(account, news)
        )
    except ValueError as error:
        raise Reject(f"invitation {news.invitation}: {error}") from error


async def authenticator_changed(deps: Dependencies, received: VerifiedMessage[AuthenticatorChanged]) -> None:
    """Follow admin's decision on a device: one that is refused or revoked goes out of use, with its sessions.

    A device that is not here stays so: approval makes each before admin can decide on it.
    """
    news = received.message
    check_ids(received.tenant, news.account, news.authenticator)
    await deps.accounts.change(
        received.tenant, news.account, lambda account: enrolment.decided(account, news)
    )
