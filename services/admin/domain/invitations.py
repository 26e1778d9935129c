"""Invitations, and the mails that speak of them. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import AccountStatus, InvitationChanged, InvitationStatus
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.contracts.notify import InvitationMail, Language

RENEWABLE_FOR = timedelta(days=30)
"""How long after an administrator's invitation the person may have a new link sent."""
RENEWALS_A_DAY = 3
"""New links that persons may have sent to one account in 24 hours, since an administrator invited it last."""
RENEWAL_PAUSE = timedelta(minutes=1)
"""A second press, or another copy of the link, brings no second mail within that time."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, without its secret: that is in the link only."""

    id: str
    tenant: str
    account: AccountId
    public_key: str
    """The invitation's Ed25519 public key, 32 octets as base64url."""
    issued_at: datetime
    expires_at: datetime
    status: InvitationStatus = "open"
    device: str | None = None
    """The one device that it vouched for, once it is used."""
    credential_id: str | None = None
    key_sha256: str | None = None
    """Of that device's public key, base64url. None in an invitation that was used before this field was."""
    session_epoch: int = 0
    """That of its account when it was made. While it is open it counts only as long as the account has the same."""
    invited_at: datetime | None = None
    """When an administrator invited the person, where this one was made because the person asked for a new link. None:
    an administrator made this one.
    """
    asked: tuple[datetime, ...] = ()
    """When the person asked for the new links of the day before it was made, its own last."""
    renewed_by: str | None = None
    """The id of the invitation that takes its place because the person asked. It is written before that one is made."""
    version: int = 1

    def event(self) -> InvitationChanged:
        """The state event with everything about the invitation but its secret, which is not known here."""
        return InvitationChanged(
            version=self.version,
            invitation=self.id,
            account=self.account,
            public_key=self.public_key,
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            status=self.status,
            device=None if self.key_sha256 is None else self.device,
            credential_id=self.credential_id,
            key_sha256=self.key_sha256,
            session_epoch=self.session_epoch,
        )

    def announced(self, cause: Envelope | None = None) -> OutgoingMessage:
        """`admin.invitation.changed.v1`. `cause`: the envelope of the message that led to it."""
        return OutgoingMessage(self.event(), self.tenant, cause)

    def used_by(self, device: str, credential_id: str, key_sha256: str) -> "Invitation":
        """The invitation, used for that device and key. Raises ValueError when it is not open."""
        return replace(self._ended("used"), device=device, credential_id=credential_id, key_sha256=key_sha256)

    def with_key(self, credential_id: str, key_sha256: str) -> "Invitation":
        """An invitation that was used before it kept the key of its device, with that key."""
        return replace(self, credential_id=credential_id, key_sha256=key_sha256, version=self.version + 1)

    def withdrawn(self) -> "Invitation":
        """The invitation, withdrawn. Raises ValueError when it is not open."""
        return self._ended("withdrawn")

    def renewed(self, by: str) -> "Invitation":
        """The invitation, whose place the one with that id takes. It is open no longer."""
        status: InvitationStatus = "withdrawn" if self.status == "open" else self.status
        return replace(self, status=status, renewed_by=by, version=self.version + 1)

    def expired(self) -> "Invitation":
        """The invitation, at the end of its time. Raises ValueError when it is not open."""
        return self._ended("expired")

    def _ended(self, status: InvitationStatus) -> "Invitation":
        if self.status != "open":
            raise ValueError(f"an invitation that is {self.status} cannot become {status}")
        return replace(self, status=status, version=self.version + 1)


def invitation_mail(
    tenant: Tenant, account: Account, invitation: Invitation, link: str, language: Language
) -> InvitationMail:
    """What is mailed with an invitation. It holds the link's secret: seal it at once."""
    return InvitationMail(
        to=account.email,
        name=account.display_name,
        language=language,
        organisation=tenant.name,
        upn=account.upn,
        link=link,
        expires_at=invitation.expires_at,
        another_phone=account.enrolled,
    )


class NotRenewed(Exception):
    """No new link is sent. The text is for the log: the person gets the same answer whatever it says."""


def check_renewal(latest: Invitation, account: Account, now: datetime) -> tuple[datetime, ...]:
    """Refuse a new link for the account whose latest invitation this is; `Invitation.asked` of the new one otherwise.

    Only for somebody who never had a phone: a link for a further phone is good for minutes, and an administrator saw to
    it. Not for whoever was suspended or signed out everywhere since, nor after an administrator has withdrawn the
    invitation. Raises NotRenewed.
    """
    if account.status is not AccountStatus.INVITED or account.enrolled:
        raise NotRenewed("the account is not waiting for its first phone")
    if latest.status == "used" or (latest.status == "withdrawn" and latest.renewed_by is None):
        raise NotRenewed(f"the invitation is {latest.status}")
    if latest.session_epoch != account.session_epoch:
        raise NotRenewed("what was begun for the person was ended since")
    if now >= (latest.invited_at or latest.issued_at) + RENEWABLE_FOR:
        raise NotRenewed("an administrator invited the person too long ago")
    asked = tuple(at for at in latest.asked if now - at < timedelta(days=1))
    if len(asked) >= RENEWALS_A_DAY:
        raise NotRenewed("asked too often today")
    if asked and now - asked[-1] < RENEWAL_PAUSE:
        raise NotRenewed("a new link was sent a moment ago")
    return (*asked, now)
