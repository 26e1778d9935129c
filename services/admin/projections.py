"""What admin does when another service's state changes (docs/flows/enrolment.md, step 8, and "Lost phone", step 1)."""

from services.admin.domain.accounts import Account, AccountAction, apply_action
from services.admin.domain.invitations import Invitation
from services.admin.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.ids import unb64u


async def device_enrolled(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: spend the invitation, make the account active. Repeats change nothing.

    approval is not believed: the endorsement must verify against the invitation that this service made, for
    this account and this key. Not verified: `enrolled_at`, which only approval knows.
    A removed device still spends its invitation, so that the order of the two events does not matter.
    Raises Reject when the endorsement does not hold, Unavailable while others change the same documents.
    """
    device, cause = received.message, received.envelope
    if await deps.devices.knows(received):
        return
    invitation = await deps.invitations.get(received.tenant, device.endorsement.by)
    if invitation is None or invitation.account != device.account:
        raise Reject("no such invitation for that account")
    _check_endorsement(invitation, device)

    def spend(before: Invitation) -> Invitation | None:
        if before.status == "used" and before.device == device.device:
            return None
        if before.status != "open":
            raise Reject(f"the invitation is {before.status}: it vouches for one device, the first")
        return before.used_by(device.device)

    await deps.invitations.change(received.tenant, invitation.id, spend, cause=cause)
    if device.status == "active":
        await deps.accounts.change(received.tenant, device.account, _enrolled, cause=cause)
    # The device is kept last, because an announcement that is kept already is not looked at again: a crash before
    # this line repeats the steps above. For this list approval's word is enough: what a device may do, wsfed decides
    # by its chain of endorsements.
    await deps.devices.keep(received)


async def freeze_changed(deps: Dependencies, received: VerifiedMessage[FreezeChanged]) -> None:
    """`approval.freeze.changed.v1`: keep what is frozen, so that whoever ends a freeze can name it."""
    await deps.freezes.keep(received)


def _enrolled(account: Account) -> Account | None:
    if account.enrolled or account.status is AccountStatus.REMOVED:
        return None
    return apply_action(account, AccountAction.ENROL)


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
