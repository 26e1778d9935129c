"""What admin does when another service's state changes (docs/flows/enrolment.md, step 8, and "Lost phone", step 1)."""

from collections.abc import Sequence
from datetime import timedelta

from services.admin.domain.accounts import AccountAction, apply_action
from services.admin.domain.invitations import Invitation, device_added_mail
from services.admin.ports import Dependencies
from shared.bus.port import Reject, Retry
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, SignedMessage, VerifiedMessage
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.ids import unb64u

TRIES = 8
NOTICE_LIFETIME = timedelta(days=1)
"""For how long notify tries to deliver the mail about a new phone."""


async def device_enrolled(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: spend the invitation, make the account active. Repeats change nothing.

    approval is not believed: the endorsement must verify against the invitation that this service made, for
    this account and this key. Not verified: `enrolled_at`, which only approval knows.
    A removed device still spends its invitation, so that the order of the two events does not matter.
    Raises Reject when the endorsement does not hold, Retry while somebody else changes the same documents.
    """
    device, cause = received.message, received.envelope
    if await deps.devices.knows(received):
        return
    invitation = await deps.invitations.get(received.tenant, device.endorsement.by)
    if invitation is None or invitation.account != device.account:
        raise Reject("no such invitation for that account")
    _check_endorsement(invitation, device)
    for _ in range(TRIES):
        if invitation.status == "used" and invitation.device == device.device:
            break
        if invitation.status != "open":
            raise Reject(f"the invitation is {invitation.status}: it vouches for one device, the first")
        spent = invitation.used_by(device.device)
        notice = await _notice(deps, spent, device, cause)
        if await deps.invitations.replace(spent, deps.invitation_message(spent, cause), *notice):
            break
        again = await deps.invitations.get(received.tenant, device.endorsement.by)
        assert again is not None, "invitations are never deleted"
        invitation = again
    else:
        raise Retry("the invitation is being changed")
    if device.status == "active":
        await _activate(deps, received.tenant, device.account, cause)
    # The device is kept last, because an announcement that is kept already is not looked at again: a crash before
    # this line repeats the steps above. For this list approval's word is enough: what a device may do, wsfed decides
    # by its chain of endorsements.
    await deps.devices.keep(received)


async def _notice(
    deps: Dependencies, spent: Invitation, device: DeviceChanged, cause: Envelope
) -> Sequence[SignedMessage]:
    """The mail that tells the person, by another channel than the phone, that a phone was added."""
    account = await deps.accounts.get(spent.tenant, spent.account)
    tenant = await deps.tenants.get(spent.tenant)
    if account is None or tenant is None or account.status is AccountStatus.REMOVED:
        return ()
    mail = device_added_mail(tenant, account, device.name, device.enrolled_at, deps.settings.mail_language)
    return (deps.mail_message(mail, spent, deps.clock.now() + NOTICE_LIFETIME, cause),)


async def _activate(deps: Dependencies, tenant: str, account_id: str, cause: Envelope) -> None:
    for _ in range(TRIES):
        before = await deps.accounts.get(tenant, account_id)
        if before is None or before.enrolled or before.status is AccountStatus.REMOVED:
            return
        after = apply_action(before, AccountAction.ENROL)
        if await deps.accounts.replace(after, deps.account_message(after, cause)):
            return
    raise Retry("the account is being changed")


def _check_endorsement(invitation: Invitation, device: DeviceChanged) -> None:
    """Raises Reject unless the invitation's secret signed this key, before the invitation expired."""
    try:
        public_key, signature = unb64u(device.public_key), unb64u(device.endorsement.signature)
    except ValueError as error:
        raise Reject("not base64url") from error
    claimed = NewDeviceKey(
        tenant=invitation.tenant,
        account=invitation.account,
        invitation=invitation.id,
        credential_id=device.credential_id,
        public_key=public_key,
    )
    if not is_endorsed(unb64u(invitation.public_key), claimed, signature):
        raise Reject("the endorsement is not the invitation's")
    if device.enrolled_at > invitation.expires_at:
        raise Reject("enrolled after the invitation had expired")
