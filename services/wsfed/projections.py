"""What admin and approval say, kept as projections (docs/flows/enrolment.md, steps 2, 6 and 7)."""

import structlog

from services.wsfed.domain.trust import Invitation, Untrusted, verify_chain
from services.wsfed.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AccountChanged, AuthenticatorChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.enrolment import NewDeviceKey
from shared.ids import unb64u

log = structlog.get_logger(__name__)

CLAIMS_AT_ONCE = 200
"""Claims of one invitation that are decided when it comes. An honest approval makes one; more would hold up admin's
page. What is left is decided when approval's next full pull says each device again.
"""


async def tenant_configured(deps: Dependencies, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant, and have a signing key ready before its first sign-in."""
    await deps.directory.keep_tenant(received)
    if not received.message.removed:
        await deps.keys.current(received.tenant)


async def account_changed(deps: Dependencies, received: VerifiedMessage[AccountChanged]) -> None:
    """Keep the account's user name, ImmutableID, status and session epoch, unless a newer version is there."""
    await deps.directory.keep_account(received)


async def invitation_changed(deps: Dependencies, received: VerifiedMessage[InvitationChanged]) -> None:
    """Keep the invitation's public key, the root of a new device's chain, and decide on devices that wait for it."""
    try:
        await deps.directory.keep_invitation(received)
    except ValueError as error:
        raise Reject(f"not base64url: {error}") from error
    invitation = await deps.directory.invitation(received.tenant, received.message.invitation)
    if invitation is not None:
        claims = await deps.directory.claims(received.tenant, invitation.id, CLAIMS_AT_ONCE)
        for claim in claims:
            await _decide(deps, claim, invitation)
        if len(claims) == CLAIMS_AT_ONCE:
            log.warning("device.claims_left", tenant=received.tenant, invitation=invitation.id)


async def authenticator_changed(deps: Dependencies, received: VerifiedMessage[AuthenticatorChanged]) -> None:
    """Enrolment step 7: keep admin's decision on a key. It may come before the key itself."""
    await deps.directory.keep_decision(received)


async def device_changed(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """Enrolment step 6: keep a device key only by its chain. A removal needs no chain.

    By its chain alone it does not count yet (`services/wsfed/domain/trust.py`). A device whose invitation is not here
    yet is kept as a claim and decided when the invitation comes. Raises Reject when the chain does not hold.
    """
    directory, tenant = deps.directory, received.tenant
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
        await _keep(deps, received, invitation)
        await directory.drop_claim(received)


async def _decide(deps: Dependencies, claim: VerifiedMessage[DeviceChanged], invitation: Invitation) -> None:
    try:
        await _keep(deps, claim, invitation)
    except Reject as error:
        log.warning(
            "device.claim_refused", tenant=claim.tenant, device=claim.message.device, reason=str(error)
        )
    await deps.directory.drop_claim(claim)


async def _keep(deps: Dependencies, received: VerifiedMessage[DeviceChanged], invitation: Invitation) -> None:
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
        endorsement = unb64u(message.endorsement.signature)
        device = verify_chain(device=message.device, key=key, endorsement=endorsement, invitation=invitation)
    except (Untrusted, ValueError) as error:
        raise Reject(f"device not endorsed: {error}") from error
    if not await deps.directory.keep_device(received):
        raise Reject("the device has another key")
    log.info("device.endorsed", tenant=tenant, account=message.account, device=device.id)
