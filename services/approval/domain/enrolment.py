"""What admin told us about accounts and invitations, and the devices that invitations vouch for.

Projections take only higher versions, because retries reorder; what ended stays as a tombstone.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from services.approval.domain import challenges
from services.approval.domain.account import (
    Account,
    Change,
    Device,
    Invitation,
    PhoneEndorsement,
    active_device,
    require_confirmed,
)
from services.approval.domain.ceremony import VerifiedAnswer, VerifiedKey, check_sign_count
from services.approval.domain.notifications import unsubscribe_all, without
from shared.contracts import version_of
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AuthenticatorChanged,
    AuthenticatorStatus,
    InvitationChanged,
    RemoveAuthenticator,
    RenewInvitation,
)
from shared.contracts.envelope import OutgoingMessage
from shared.crypto.enrolment import FirstSession, NewDeviceKey, is_endorsed
from shared.errors import Forbidden, Gone, NotFound, Unavailable
from shared.ids import unb64u

MAX_DEVICES = 10


def account_changed(
    account: Account, news: AccountChanged, now: datetime, *, returned: bool = False, whole: bool = False
) -> Change | None:
    """The account as admin says it is now; None when we know that or better. With another session epoch, the requests
    that wait on its phones are over.

    `returned`: admin's own database says it, so what had lapsed here is back. `whole`: it says all that it has, so
    another content under the same version is wrong here.
    """
    if news.order < account.version:
        return None
    if news.order == account.version:
        lapsed = account.version > 0 and account.status is None
        here = (account.status, account.upn, account.display_name, account.session_epoch)
        said = (news.status, news.upn, news.display_name, news.epoch)
        contradicted = not lapsed and here != said
        if not (lapsed and returned) and not (contradicted and whole):
            return None
    ended = Change(account)
    if account.session_epoch != news.epoch:
        ended = challenges.end_open(account, now)
        account = ended.value
    changed = Change(
        replace(
            account,
            version=news.order,
            status=news.status,
            session_epoch=news.epoch,
            upn=news.upn,
            display_name=news.display_name,
            history={} if news.status is AccountStatus.REMOVED else account.history,
        )
    )
    if news.status is AccountStatus.REMOVED:
        changed = unsubscribe_all(changed.value)
    return ended.then(changed)


def invitation_changed(account: Account, news: InvitationChanged) -> Change | None:
    """The invitation as admin says it is now; None when we know that or better. Raises ValueError (bad key)."""
    known = account.invitations.get(news.invitation)
    if known is not None and news.order <= known.version:
        return None
    public_key = unb64u(news.public_key)
    if len(public_key) != 32:
        raise ValueError("not an Ed25519 public key")
    if known is not None and known.public_key != public_key:
        raise ValueError("an invitation's key cannot change")
    invitation = Invitation(
        id=news.invitation,
        version=news.order,
        public_key=public_key,
        expires_at=news.expires_at,
        status=news.status,
        session_epoch=news.epoch,
        spent_by=known.spent_by if known is not None else None,
    )
    return Change(replace(account, invitations={**account.invitations, invitation.id: invitation}))


def usable_invitation(account: Account, invitation_id: str, now: datetime) -> Invitation:
    """The invitation, when a device can be enrolled with it now.

    Raises Gone with the same words for every reason, so that a stranger's guess teaches nothing; Unavailable
    while the account's own news are still under way.
    """
    invitation = account.invitations.get(invitation_id)
    if (
        invitation is None
        or invitation.status != "open"
        or invitation.spent_by is not None
        or now >= invitation.expires_at
        or invitation.session_epoch < account.session_epoch
    ):
        raise dead_link()
    if invitation.session_epoch > account.session_epoch:
        raise Unavailable("approval.account.pending")
    try:
        account.check_usable()
    except Forbidden as error:
        raise dead_link() from error
    return invitation


def dead_link() -> Gone:
    """An invitation that is expired, used, withdrawn, unknown, or for an account that is not to be used."""
    return Gone("approval.invitation.dead", code="invitation")


def ask_for_new_link(account: Account, invitation_id: str) -> Change | None:
    """Pass on to admin that somebody whose link no longer works asks for another; None where it could not send one.

    admin decides, and counts; nothing is limited by what is known here.
    """
    if account.status not in (None, AccountStatus.INVITED):
        return None
    command = RenewInvitation(invitation=invitation_id, account=account.id)
    return Change(account, (OutgoingMessage(command, account.tenant),))


def enrol(
    account: Account,
    *,
    invitation_id: str,
    key: VerifiedKey,
    endorsement: str,
    device_id: str,
    name: str,
    now: datetime,
) -> Change | None:
    """Spend the invitation on that key; None when the account has the key already: see `device_made`.

    Raises Gone, Forbidden (code `endorsement`, `too_many_devices`).
    """
    if account.device_of(key.credential_id) is not None:
        return None
    invitation = usable_invitation(account, invitation_id, now)
    if not _vouches(invitation, account, key, endorsement):
        raise Forbidden("approval.invitation.endorsement", code="endorsement")
    spent = {**account.invitations, invitation_id: replace(invitation, spent_by=device_id)}
    account = replace(account, invitations=spent)
    return add_device(account, key, device_id, name, now, invitation=invitation_id, endorsement=endorsement)


def add_device(
    account: Account,
    key: VerifiedKey,
    device_id: str,
    name: str,
    now: datetime,
    *,
    invitation: str = "",
    endorsement: str = "",
    by_phone: PhoneEndorsement | None = None,
) -> Change:
    """Make a device of that key, endorsed by an invitation or by a phone. It waits for admin.

    Raises Forbidden (code `too_many_devices`).
    """
    if sum(device.active for device in account.devices.values()) >= MAX_DEVICES:
        raise Forbidden("approval.account.too_many_devices", code="too_many_devices")
    device = Device(
        id=device_id,
        version=1,
        credential_id=key.credential_id,
        cose_key=key.cose_key,
        public_key=key.public_key,
        sign_count=key.sign_count,
        name=name,
        enrolled_at=now,
        invitation=invitation,
        endorsement=endorsement,
        backup_eligible=key.backup_eligible,
        backed_up=key.backed_up,
        decision="waiting",
        by_phone=by_phone,
    )
    account = account.with_device(device)
    return Change(account, (OutgoingMessage(device.changed(account), account.tenant),))


def device_made(
    account: Account, *, invitation_id: str, key: VerifiedKey, endorsement: str, now: datetime
) -> Device | None:
    """The device that this invitation was spent on, for whoever shows the same key and the same endorsement.

    None for another key, a phone that was removed, an account that is not to be used, and once the invitation's
    own time is over. Whoever copied the request learns from it that it worked, and nothing to sign in with.
    """
    invitation, device = account.invitations.get(invitation_id), account.device_of(key.credential_id)
    if (
        invitation is None
        or invitation.status == "withdrawn"
        or now >= invitation.expires_at
        or device is None
        or device.id != invitation.spent_by
        or not device.active
        or device.public_key != key.public_key
        or not _vouches(invitation, account, key, endorsement)
    ):
        return None
    try:
        account.check_usable()
    except Forbidden:
        return None
    return device


def _vouches(invitation: Invitation, account: Account, key: VerifiedKey, endorsement: str) -> bool:
    new = NewDeviceKey(account.tenant, account.id, invitation.id, key.credential_id, key.public_key)
    return is_endorsed(invitation.public_key, new, _decoded(endorsement))


def vouches_for_session(account: Account, device: Device, token_digest: str, signature: str) -> bool:
    """Whether the invitation that made the device signed its first session, the token with that SHA-256.

    Neither the endorsement nor the statement covers the session. Without this signature, whoever reads an enrolment
    request before it was handled could send it with the digest of his own token, and have the phone's session.
    """
    invitation = account.invitations[device.invitation]
    asked = FirstSession(account.tenant, account.id, invitation.id, device.credential_id, token_digest)
    return is_endorsed(invitation.public_key, asked, _decoded(signature))


def device_used(account: Account, device_id: str, answer: VerifiedAnswer) -> Change | None:
    """Advance the signature counter; None when the authenticator has none. Raises Forbidden (replay, removed)."""
    device = active_device(account, device_id)
    check_sign_count(device.sign_count, answer.sign_count)
    if device.sign_count == answer.sign_count:
        return None
    return Change(account.with_device(replace(device, sign_count=answer.sign_count)))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRemoval:
    """A person's own request to remove a phone, signed for that purpose by the phone that `signed_by` names."""

    device: str
    signed_by: str
    server_nonce: str
    """Ours, in the statement."""
    answer: VerifiedAnswer
    """The assertion; the statement is `context` of its proof, so that it verifies again anywhere."""


def remove_at_request(account: Account, removal: VerifiedRemoval) -> Change:
    """Take one of the person's own phones out of use, and ask admin, which verifies the assertion too, to revoke it.

    A phone that admin has not decided on yet removes no other one: it may have been made with a link that was
    withdrawn, and what it removed would stay removed after admin has refused it. Raises NotFound, Forbidden (replay,
    signing phone removed or not confirmed yet).
    """
    signer = active_device(account, removal.signed_by)
    if removal.device != signer.id:
        require_confirmed(account, signer.id)
    used = device_used(account, removal.signed_by, removal.answer) or Change(account)
    device = removable(account, removal.device)
    asked = Change(used.value, () if device.decided == 0 else (_ask_admin(account, device, removal),))
    return asked.then(remove_device(used.value, removal.device))


def _ask_admin(account: Account, device: Device, removal: VerifiedRemoval) -> OutgoingMessage:
    command = RemoveAuthenticator(
        authenticator=device.id,
        account=account.id,
        version=version_of(device.decided),
        signed_by=removal.signed_by,
        server_nonce=removal.server_nonce,
        proof=removal.answer.proof,
    )
    return OutgoingMessage(command, account.tenant)


def removable(account: Account, device_id: str) -> Device:
    """The account's active device of that id. Raises NotFound."""
    device = account.devices.get(device_id)
    if device is None or not device.active:
        raise NotFound("approval.device.unknown")
    return device


def remove_device(account: Account, device_id: str) -> Change:
    """Take a phone's key out of use, at once. Raises NotFound."""
    device = removable(account, device_id)
    removed = replace(device, active=False, version=device.version + 1)
    account = without(account.with_device(removed), device_id)
    return Change(account, (OutgoingMessage(removed.changed(account), account.tenant),))


def decided(account: Account, news: AuthenticatorChanged) -> Change | None:
    """The account after admin's decision on one of its devices; None when we know that or better.

    A device that does not count goes out of use, with its notifications. It never comes back, whatever is said later.
    """
    device = account.devices.get(news.authenticator)
    if device is None or news.order <= device.decided:
        return None
    told = replace(device, decision=news.status.value, decided=news.order, given_name=news.name)
    account = account.with_device(told)
    if news.status is AuthenticatorStatus.TRUSTED or not device.active:
        return Change(account)
    return remove_device(account, device.id)


def _decoded(text: str) -> bytes:
    try:
        return unb64u(text)
    except ValueError:
        return b""
