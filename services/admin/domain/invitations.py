"""Invitations, and the mails that speak of them. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import InvitationChanged
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.contracts.notify import InvitationMail, Language


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
    status: Literal["open", "used", "withdrawn"] = "open"
    device: str | None = None
    """The one device that it vouched for, once it is used."""
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
        )

    def announced(self, cause: Envelope | None = None) -> OutgoingMessage:
        """`admin.invitation.changed.v1`. `cause`: the envelope of the message that led to it."""
        return OutgoingMessage(self.event(), self.tenant, cause)

    def used_by(self, device: str) -> "Invitation":
        """The invitation, used for that device. Raises ValueError when it is not open."""
        return self._end("used", device)

    def withdrawn(self) -> "Invitation":
        """The invitation, withdrawn. Raises ValueError when it is not open."""
        return self._end("withdrawn", None)

    def _end(self, status: Literal["used", "withdrawn"], device: str | None) -> "Invitation":
        if self.status != "open":
            raise ValueError(f"an invitation that is {self.status} cannot become {status}")
        return replace(self, status=status, device=device, version=self.version + 1)


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
