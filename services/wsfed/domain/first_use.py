"""When a domain was first used: how an administrator sees that its federation has taken effect. Pure.

A request proves nothing, since anybody can make one; a token was issued to a person who proved who they are.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.contracts.envelope import OutgoingMessage
from shared.contracts.wsfed import DomainUsed


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """When the first request for a person of this domain came, and when the first one of them was signed in."""

    tenant: str
    domain: str
    first_request_at: datetime
    first_sign_in_at: datetime | None = None
    version: int = 1

    @property
    def id(self) -> str:
        return f"{self.tenant}/{self.domain}"

    def with_sign_in(self, moment: datetime) -> "FirstUse | None":
        """With the first sign-in; None when there was one before."""
        if self.first_sign_in_at is not None:
            return None
        return replace(self, first_sign_in_at=moment, version=self.version + 1)

    def event(self) -> DomainUsed:
        """The state event."""
        return DomainUsed(
            version=self.version,
            domain=self.domain,
            first_request_at=self.first_request_at,
            first_sign_in_at=self.first_sign_in_at,
        )

    def announced(self) -> OutgoingMessage:
        """The state event as a message for the outbox."""
        return OutgoingMessage(self.event(), self.tenant)
