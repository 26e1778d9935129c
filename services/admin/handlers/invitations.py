"""Invitations, and the phones that are enrolled with them (docs/flows/enrolment.md)."""

from collections.abc import Sequence
from datetime import timedelta

from services.admin import domain
from services.admin.domain import Invitation, Step
from services.admin.handlers.common import INVITABLE, NOTICE_GOOD_FOR, TRIES, Admin, withdraw_open
from services.admin.handlers.people import show_account
from services.admin.handlers.tenants import show_tenant
from shared.bus.port import Reject, Retry
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, SignedMessage, VerifiedMessage
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.crypto.keys import key_from_seed, raw_public
from shared.errors import Conflict
from shared.ids import b64u, new_id, unb64u


class InvitationLink:
    """The link that goes to the person, with the secret in its fragment. It exists once and is not kept."""

    __slots__ = ("invitation", "url")

    def __init__(self, invitation: Invitation, url: str) -> None:
        self.invitation = invitation
        self.url = url

    def __repr__(self) -> str:  # a log line or a traceback shows this
        return f"InvitationLink({self.invitation.id})"


async def invite(admin: Admin, slug: str, name: str, *, send_mail: bool = True) -> InvitationLink:
    """A new invitation link, the only time that its secret is seen; the one before is withdrawn.

    It is mailed to the person in the same step, unless the caller hands it over in another way.
    24 hours for somebody who never enrolled, 10 minutes (by setting) for a new phone of somebody who did.
    Raises NotFound, Conflict (suspended or removed; two at the same time).
    """
    tenant = await show_tenant(admin, slug)
    account = await show_account(admin, slug, name)
    if account.status not in INVITABLE:
        raise Conflict("admin.account.not_invitable", upn=account.upn, status=account.status.value)
    seed = admin.ids.random_bytes(32)
    now = admin.clock.now()
    lifetime = (
        timedelta(minutes=admin.settings.rebinding_minutes)
        if account.enrolled
        else timedelta(hours=admin.settings.invitation_hours)
    )
    invitation = Invitation(
        id=new_id(admin.ids),
        tenant=slug,
        account=account.id,
        public_key=b64u(raw_public(key_from_seed(seed))),
        issued_at=now,
        expires_at=now + lifetime,
    )
    url = f"{admin.origin}/key/#i={invitation.id}.{b64u(seed)}"
    letter = domain.invitation_letter(tenant, account, invitation, url, admin.settings.mail_language)
    for _ in range(TRIES):
        await withdraw_open(admin, account)
        messages = [admin.invitation_message(invitation)]
        if send_mail:
            messages.append(admin.mail_message(letter, invitation, invitation.expires_at))
        if await admin.invitations.add(invitation, *messages):
            return InvitationLink(invitation, url)
    raise Conflict("admin.account.being_invited", upn=account.upn)


async def device_enrolled(admin: Admin, received: VerifiedMessage[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: spend the invitation, make the account active. Repeats change nothing.

    approval is not believed: the endorsement must verify against the invitation that this service made, for
    this account and this key. Not verified: `enrolled_at`, which only approval knows.
    A removed device still spends its invitation, so that the order of the two events does not matter.
    """
    device, cause = received.message, received.envelope
    if await admin.phones.knows(received):
        return
    invitation = await admin.invitations.get(received.tenant, device.endorsement.by)
    if invitation is None or invitation.account != device.account:
        raise Reject("no such invitation for that account")
    _check_endorsement(invitation, device)
    for _ in range(TRIES):
        if invitation.status == "used" and invitation.device == device.device:
            break
        if invitation.status != "open":
            raise Reject(f"the invitation is {invitation.status}: it vouches for one device, the first")
        spent = invitation.used_by(device.device)
        notice = await _notice(admin, spent, device, cause)
        if await admin.invitations.replace(spent, admin.invitation_message(spent, cause), *notice):
            break
        again = await admin.invitations.get(received.tenant, device.endorsement.by)
        assert again is not None, "invitations are never deleted"
        invitation = again
    else:
        raise Retry("the invitation is being changed")
    if device.status == "active":
        await _activate(admin, received.tenant, device.account, cause)
    # Last, since a phone that is in the list is not looked at again. approval's word is enough for this list: what a
    # phone may do, wsfed decides by its chain.
    await admin.phones.keep(received)


async def _notice(
    admin: Admin, spent: Invitation, device: DeviceChanged, cause: Envelope
) -> Sequence[SignedMessage]:
    """The mail that tells the person, by another channel than the phone, that a phone was added."""
    account = await admin.accounts.get(spent.tenant, spent.account)
    tenant = await admin.tenants.get(spent.tenant)
    if account is None or tenant is None or account.status is AccountStatus.REMOVED:
        return ()
    letter = domain.device_letter(
        tenant, account, device.name, device.enrolled_at, admin.settings.mail_language
    )
    return (admin.mail_message(letter, spent, admin.clock.now() + NOTICE_GOOD_FOR, cause),)


async def _activate(admin: Admin, tenant: str, account_id: str, cause: Envelope) -> None:
    for _ in range(TRIES):
        before = await admin.accounts.get(tenant, account_id)
        if before is None or before.enrolled or before.status is AccountStatus.REMOVED:
            return
        after = domain.step(before, Step.ENROL)
        if await admin.accounts.replace(after, admin.account_message(after, cause)):
            return
    raise Retry("the account is being changed")


def _check_endorsement(invitation: Invitation, device: DeviceChanged) -> None:
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
