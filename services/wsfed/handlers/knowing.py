"""What admin and approval say, kept as projections (docs/flows/enrolment.md, steps 2 and 7)."""

import structlog

from services.wsfed.domain.trust import Invitation, Untrusted, trust_device
from services.wsfed.handlers.common import WsFed
from shared.bus.port import Reject
from shared.contracts.admin import AccountChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.enrolment import NewDeviceKey
from shared.ids import unb64u

log = structlog.get_logger(__name__)


async def tenant_configured(wsfed: WsFed, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant, and have a signing key ready before its first sign-in."""
    await wsfed.directory.keep_tenant(received)
    if not received.message.removed:
        await wsfed.keys.current(received.tenant)


async def account_changed(wsfed: WsFed, received: VerifiedMessage[AccountChanged]) -> None:
    """Keep the account."""
    await wsfed.directory.keep_account(received)


async def invitation_changed(wsfed: WsFed, received: VerifiedMessage[InvitationChanged]) -> None:
    """Keep the invitation's public key, the root of a new device's chain, and decide on devices that wait for it."""
    try:
        await wsfed.directory.keep_invitation(received)
    except ValueError as error:
        raise Reject(f"not base64url: {error}") from error
    invitation = await wsfed.directory.invitation(received.tenant, received.message.invitation)
    if invitation is not None:
        for claim in await wsfed.directory.claims(received.tenant, invitation.id):
            await _decide(wsfed, claim, invitation)


async def device_changed(wsfed: WsFed, received: VerifiedMessage[DeviceChanged]) -> None:
    """Enrolment step 7: trust a device key only by its chain. A removal needs no chain.

    A device whose invitation is not here yet is kept as a claim and decided when the invitation comes. Raises Reject
    when the chain does not hold.
    """
    directory, tenant = wsfed.directory, received.tenant
    try:
        if await directory.knows_device(received):
            return
    except ValueError as error:
        raise Reject(f"not base64url: {error}") from error
    if received.message.status == "removed":
        await directory.keep_device(received)
        return
    invitation = await directory.invitation(tenant, received.message.endorsement.by)
    if invitation is None:
        await directory.keep_claim(received)
        invitation = await directory.invitation(tenant, received.message.endorsement.by)  # it came meanwhile?
    if invitation is not None:
        await _trust(wsfed, received, invitation)
        await directory.drop_claim(received)


async def _decide(wsfed: WsFed, claim: VerifiedMessage[DeviceChanged], invitation: Invitation) -> None:
    try:
        await _trust(wsfed, claim, invitation)
    except Reject as error:
        log.warning(
            "device.claim_refused", tenant=claim.tenant, device=claim.message.device, reason=str(error)
        )
    await wsfed.directory.drop_claim(claim)


async def _trust(wsfed: WsFed, received: VerifiedMessage[DeviceChanged], invitation: Invitation) -> None:
    """Verify the chain and keep the device. Raises Reject."""
    message, tenant = received.message, received.tenant
    try:
        key = NewDeviceKey(
            tenant=tenant,
            account=message.account,
            invitation=message.endorsement.by,
            credential_id=message.credential_id,
            public_key=unb64u(message.public_key),
        )
        device = trust_device(
            device=message.device,
            key=key,
            endorsement=unb64u(message.endorsement.signature),
            enrolled_at=message.enrolled_at,
            invitation=invitation,
            now=wsfed.clock.now(),
        )
    except (Untrusted, ValueError) as error:
        raise Reject(f"device not trusted: {error}") from error
    if not await wsfed.directory.vouch(tenant, invitation.id, device.id):
        raise Reject("the invitation has vouched for another device")
    if not await wsfed.directory.keep_device(received):
        raise Reject("the device has another key")
    log.info("device.trusted", tenant=tenant, account=message.account, device=message.device)
