"""What admin and approval say, kept as projections (docs/flows/enrolment.md, steps 2, 6 and 7)."""

import base64
import hashlib
from collections import deque

import structlog

from services.wsfed.domain.trust import (
    EndorsedDevice,
    Invitation,
    Untrusted,
    key_hash,
    verify_chain,
    verify_endorsed,
)
from services.wsfed.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import (
    AccountChanged,
    AuthenticatorChanged,
    InvitationChanged,
    LogoChanged,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, VerifiedMessage
from shared.contracts.wsfed import AuthenticatorAccepted
from shared.crypto.enrolment import NewDeviceKey
from shared.ids import b64u, unb64u
from shared.picture import check_png

log = structlog.get_logger(__name__)

CLAIMS_AT_ONCE = 200
"""Claims that are decided when an invitation or a phone comes, with those that wait for the phones among them. An
honest approval makes one; more would hold up admin's page. What is left is decided when approval's next full pull says
each device again.
"""


async def tenant_configured(deps: Dependencies, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant, and have a signing key ready before its first sign-in."""
    await deps.directory.keep_tenant(received)
    if not received.message.removed:
        await deps.keys.current(received.tenant)


async def logo_changed(deps: Dependencies, received: VerifiedMessage[LogoChanged]) -> None:
    """Keep the organisation's logo (docs/flows/logo.md, step 4).

    The browser of everybody who signs in decodes it, so only a file of the one plain kind that we make is kept. Raises
    Reject for any other.
    """
    logo = received.message
    _check_logo(logo.name, logo.png)
    _check_logo(logo.previous_name, logo.previous_png)
    await deps.logos.keep(received)


def _check_logo(name: str, encoded: str) -> None:
    """Nothing without a name, or under a name of its own a file of our kind. Raises Reject."""
    if not name:
        if encoded:
            raise Reject("a logo without a name")
        return
    try:
        png = base64.b64decode(encoded, validate=True)
        check_png(png)
    except ValueError as error:
        raise Reject(f"not a logo of ours: {error}") from error
    if not b64u(hashlib.sha256(png).digest()).startswith(name):
        raise Reject("a logo under another's name")


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
        await _decide_claims(deps, received.tenant, invitation)


async def authenticator_changed(deps: Dependencies, received: VerifiedMessage[AuthenticatorChanged]) -> None:
    """Enrolment step 7: keep admin's decision on a key. It may come before the key itself."""
    await deps.directory.keep_decision(received)
    await _accept(deps, received.tenant, received.message.authenticator, received.envelope)


async def device_changed(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """Enrolment step 6: keep a device key only by its chain. A removal needs no chain.

    By its chain alone it does not count yet (`services/wsfed/domain/trust.py`). A device whose invitation, or endorsing
    phone, is not here yet is kept as a claim and decided when that comes. Raises Reject when the chain does not hold.
    """
    directory, tenant = deps.directory, received.tenant
    try:
        if await directory.knows_device(received):
            await _accept(deps, tenant, received.message.device, received.envelope)
            return
    except ValueError as error:
        raise Reject(f"not base64url: {error}") from error
    if received.message.status == "removed":
        await directory.keep_device(received)
        return
    root = await _root(deps, received)
    if root is None:
        await directory.keep_claim(received)
        root = await _root(deps, received)  # it came meanwhile?
    if root is not None:
        device = await _keep(deps, received, root)
        await directory.drop_claim(received)
        await _decide_claims(deps, tenant, device)


async def _root(
    deps: Dependencies, received: VerifiedMessage[DeviceChanged]
) -> Invitation | EndorsedDevice | None:
    """What a device's chain begins with here: the invitation, or the phone, that endorsed it. None: not here yet."""
    endorsement = received.message.endorsement
    if endorsement.kind == "authenticator":
        return await deps.directory.endorsed_device(received.tenant, endorsement.by)
    return await deps.directory.invitation(received.tenant, endorsement.by)


async def _decide_claims(deps: Dependencies, tenant: str, root: Invitation | EndorsedDevice) -> None:
    """Decide on the devices that wait for this invitation, or for this phone, and on those that wait for them.

    One after the other, and not by recursion: whoever has approval and a phone can make a chain of any length.
    """
    roots: deque[Invitation | EndorsedDevice] = deque([root])
    left = CLAIMS_AT_ONCE
    while roots and left:
        by = roots.popleft()
        claims = await deps.directory.claims(tenant, by.id, left)
        left -= len(claims)
        for claim in claims:
            device = await _decide(deps, claim, by)
            if device is not None:
                roots.append(device)
    if not left:
        log.warning("device.claims_left", tenant=tenant, endorsed_by=root.id)


async def _decide(
    deps: Dependencies, claim: VerifiedMessage[DeviceChanged], root: Invitation | EndorsedDevice
) -> EndorsedDevice | None:
    """The device that waited, if it is kept now."""
    device: EndorsedDevice | None = None
    try:
        device = await _keep(deps, claim, root)
    except Reject as error:
        log.warning(
            "device.claim_refused", tenant=claim.tenant, device=claim.message.device, reason=str(error)
        )
    await deps.directory.drop_claim(claim)
    return device


async def _keep(
    deps: Dependencies, received: VerifiedMessage[DeviceChanged], root: Invitation | EndorsedDevice
) -> EndorsedDevice:
    """Verify the chain and keep the device. Raises Reject."""
    message, tenant = received.message, received.tenant
    endorsement = message.endorsement
    try:
        key = NewDeviceKey(
            tenant=tenant,
            account=message.account,
            invitation=endorsement.offer if endorsement.kind == "authenticator" else endorsement.by,
            credential_id=message.credential_id,
            public_key=unb64u(message.public_key),
        )
        if isinstance(root, EndorsedDevice):
            device = verify_endorsed(
                device=message.device,
                key=key,
                endorsement=endorsement,
                endorser=root,
                origins=deps.expected_origins,
                rp_id=deps.rp_id,
            )
        else:
            signature = unb64u(endorsement.signature)
            device = verify_chain(device=message.device, key=key, endorsement=signature, invitation=root)
    except (Untrusted, ValueError) as error:
        raise Reject(f"device not endorsed: {error}") from error
    if not await deps.directory.keep_device(received):
        raise Reject("the device has another key")
    log.info("device.endorsed", tenant=tenant, account=message.account, device=device.id)
    await _accept(deps, tenant, device.id, received.envelope)
    return device


async def _accept(deps: Dependencies, tenant: str, device_id: str, cause: Envelope) -> None:
    """Let a device count whose chain and decision are both here, whichever came first, and say so in the same write.

    Nothing that the device proves counts before (docs/flows/notification.md, step 11).
    """
    device = await deps.directory.acceptable(tenant, device_id)
    if device is None:
        return
    message = AuthenticatorAccepted(
        authenticator=device.id,
        account=device.account,
        key_sha256=key_hash(device.public_key),
        name=device.name,
        accepted_at=deps.clock.now(),
    )
    if await deps.directory.accept(device, deps.signer.sign(message, tenant=tenant, cause=cause)):
        log.info("device.trusted", tenant=tenant, account=device.account, device=device.id)
