"""Invitations, and the mails that speak of them. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.names import MAX_NAME
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import InvitationChanged, InvitationStatus
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.contracts.notify import DeviceAddedMail, InvitationMail, Language
from shared.text import clean_line


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


def device_added_mail(
    tenant: Tenant, account: Account, device: str, added_at: datetime, language: Language
) -> DeviceAddedMail:
    """What is mailed when a phone was added. `device`: its name, as approval tells it, so anything at all."""
    return DeviceAddedMail(
        to=account.email,
        name=account.display_name,
        language=language,
        organisation=tenant.name,
        upn=account.upn,
        device=clean_line(device, MAX_NAME) or "?",
        added_at=added_at,
    )
