"""What admin tells: tenants, accounts, invitations."""

from services.approval.domain import enrolment
from services.approval.handlers.steps import change, check_ids
from services.approval.ports import Parts
from shared.bus.port import Reject
from shared.contracts.admin import AccountChanged, InvitationChanged, TenantConfigured
from shared.contracts.envelope import Origin, VerifiedMessage


async def tenant_configured(parts: Parts, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant's name."""
    await parts.tenants.keep(received)


async def account_changed(parts: Parts, received: VerifiedMessage[AccountChanged]) -> None:
    """Keep the account's status; it counts from the next request on."""
    news = received.message
    check_ids(received.tenant, news.account)
    returned = received.origin is not Origin.SENT
    taken = await change(
        parts,
        received.tenant,
        news.account,
        lambda a: enrolment.account_changed(a, news, returned=returned),
        confirm=True,
    )
    if taken is None and received.origin is Origin.FULL_PULL:
        await parts.accounts.confirm(received.tenant, news.account)


async def invitation_changed(parts: Parts, received: VerifiedMessage[InvitationChanged]) -> None:
    """Keep the invitation (enrolment, step 2). It may come before its account."""
    news = received.message
    check_ids(received.tenant, news.account, news.invitation)
    try:
        await change(parts, received.tenant, news.account, lambda a: enrolment.invitation_changed(a, news))
    except ValueError as error:
        raise Reject(f"invitation {news.invitation}: {error}") from error
