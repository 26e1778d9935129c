"""What admin and approval say, kept as projections (docs/flows/enrolment.md, steps 2 and 7)."""

import hashlib

import structlog

from services.wsfed.domain.trust import Invitation, TrustedDevice, Untrusted, trust_device
from services.wsfed.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AccountChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import SignedMessage, VerifiedMessage
from shared.contracts.wsfed import AuthenticatorAccepted
from shared.crypto.enrolment import NewDeviceKey
from shared.ids import b64u, unb64u

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
    """Keep the account's user name, ImmutableID and status, unless a newer version is there."""
    await deps.directory.keep_account(received)


async def invitation_changed(deps: Dependencies, received: VerifiedMessage[InvitationChanged]) -> None:
    """Keep the invitation's public key, the root of a new device's chain, and decide on devices that wait for it."""
    try:
        await deps.directory.keep_invitation(received)
    except ValueError as error:
        raise Reject(f"not base64url: {error}") from error
    invitation = await deps.directory.invitation(received.tenant, received.message.invitation)
    if invitation is not None:
        await _distrust_if_withdrawn(deps, invitation)
        claims = await deps.directory.claims(received.tenant, invitation.id, CLAIMS_AT_ONCE)
        for claim in claims:
            await _decide(deps, claim, invitation)
        if len(claims) == CLAIMS_AT_ONCE:
            log.warning("device.claims_left", tenant=received.tenant, invitation=invitation.id)


async def device_changed(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """Enrolment step 7: trust a device key only by its chain. A removal needs no chain.

    A device whose invitation is not here yet is kept as a claim and decided when the invitation comes. Raises Reject
    when the chain does not hold.
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
        await _trust(deps, received, invitation)
        await directory.drop_claim(received)


async def _distrust_if_withdrawn(deps: Dependencies, invitation: Invitation) -> bool:
    """Admin withdraws only what it has seen no device of. One that we heard of earlier is in no list of admin's, so
    nobody could remove it.
    """
    if invitation.status != "withdrawn" or invitation.vouched_for is None:
        return False
    if await deps.directory.distrust(invitation):
        log.error("device.invitation_withdrawn", tenant=invitation.tenant, device=invitation.vouched_for)
    return True


async def _decide(deps: Dependencies, claim: VerifiedMessage[DeviceChanged], invitation: Invitation) -> None:
    try:
        await _trust(deps, claim, invitation)
    except Reject as error:
        log.warning(
            "device.claim_refused", tenant=claim.tenant, device=claim.message.device, reason=str(error)
        )
    await deps.directory.drop_claim(claim)


async def _trust(
    deps: Dependencies, received: VerifiedMessage[DeviceChanged], invitation: Invitation
) -> None:
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
            now=deps.clock.now(),
        )
    except (Untrusted, ValueError) as error:
        raise Reject(f"device not trusted: {error}") from error
    if not await deps.directory.vouch(tenant, invitation.id, device.id):
        raise Reject("the invitation was withdrawn or has vouched for another device")
    if not await deps.directory.keep_device(received, _accepted(deps, received, device)):
        raise Reject("the device has another key")
    now = await deps.directory.invitation(tenant, invitation.id)
    if now is not None and await _distrust_if_withdrawn(deps, now):
        raise Reject("the invitation was withdrawn meanwhile")
    log.info("device.trusted", tenant=tenant, account=message.account, device=message.device)


def _accepted(
    deps: Dependencies, received: VerifiedMessage[DeviceChanged], device: TrustedDevice
) -> SignedMessage:
    """The message that this key counts from now on: the person is told of it by notify."""
    message = AuthenticatorAccepted(
        authenticator=device.id,
        account=device.account,
        key_sha256=b64u(hashlib.sha256(device.public_key).digest()),
        name=received.message.name,
        accepted_at=deps.clock.now(),
    )
    return deps.signer.sign(message, tenant=received.tenant, cause=received.envelope)
