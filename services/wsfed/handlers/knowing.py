"""What admin and approval say, kept as projections (docs/flows/enrolment.md, steps 2 and 7)."""

import structlog

from services.wsfed.domain.trust import Invitation, TrustedDevice, Untrusted, trust_device
from services.wsfed.handlers.common import WsFed
from services.wsfed.ports import Account
from shared.bus.port import Reject, Retry
from shared.contracts.admin import AccountChanged, AccountStatus, InvitationChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Received
from shared.crypto.enrolment import NewDeviceKey
from shared.ids import unb64u

log = structlog.get_logger(__name__)


async def tenant_configured(wsfed: WsFed, received: Received[TenantConfigured]) -> None:
    """Keep the tenant, and have a signing key ready before its first sign-in."""
    await wsfed.directory.keep_tenant(received.tenant, received.message)
    if not received.message.removed:
        await wsfed.keys.current(received.tenant)


async def account_changed(wsfed: WsFed, received: Received[AccountChanged]) -> None:
    """Keep the account."""
    message = received.message
    account = Account(
        received.tenant, message.account, message.upn, message.immutable_id, AccountStatus(message.status)
    )
    await wsfed.directory.keep_account(account, message.version)


async def invitation_changed(wsfed: WsFed, received: Received[InvitationChanged]) -> None:
    """Keep the invitation's public key: the root of a new device's chain."""
    message = received.message
    invitation = Invitation(
        id=message.invitation,
        tenant=received.tenant,
        account=message.account,
        public_key=unb64u(message.public_key),
        issued_at=message.issued_at,
        expires_at=message.expires_at,
        status=message.status,
    )
    await wsfed.directory.keep_invitation(invitation, message.version)


async def device_changed(wsfed: WsFed, received: Received[DeviceChanged]) -> None:
    """Enrolment step 7: trust a device key only by its chain. A removal needs no chain.

    Raises Retry while the invitation is not here yet, Reject when the chain does not hold.
    """
    message = received.message
    tenant = received.tenant
    key = NewDeviceKey(
        tenant=tenant,
        account=message.account,
        invitation=message.endorsement.by,
        credential_id=message.credential_id,
        public_key=unb64u(message.public_key),
    )
    if message.status == "removed":
        removed = TrustedDevice(
            id=message.device,
            tenant=tenant,
            account=message.account,
            public_key=key.public_key,
            credential_id=key.credential_id,
            removed=True,
        )
        await wsfed.directory.keep_device(removed, message.version)
        return
    invitation = await wsfed.directory.invitation(tenant, key.invitation)
    if invitation is None:
        raise Retry("invitation not here yet")
    try:
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
    await wsfed.directory.keep_device(device, message.version)
    kept = await wsfed.directory.device(tenant, device.id)
    if kept is None or _identity(kept) != _identity(device):
        raise Reject("the device has another key")
    log.info("device.trusted", tenant=tenant, account=message.account, device=message.device)


def _identity(device: TrustedDevice) -> tuple[str, bytes, str]:
    return device.account, device.public_key, device.credential_id
