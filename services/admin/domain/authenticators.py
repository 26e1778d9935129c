"""Authenticators, and admin's decision on each: whether it counts, and when it stops. Pure.

    a device's endorsement arrives
        |-- its invitation holds -------------> trusted -- removed --> revoked
        +-- it does not, or the key is known --> refused

`refused` and `revoked` are final. A person whose phone was refused or removed enrols again, with a new key and a new
invitation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.invitations import Invitation
from shared.contracts.admin import AccountStatus, AuthenticatorChanged, AuthenticatorStatus, EndorsedBy
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.crypto.statement import Statement, made_within

GRACE = timedelta(minutes=10)
"""How long after an invitation's end its device may still arrive on the bus, by admin's clock alone."""
ENDORSED_WITHIN = timedelta(minutes=15)
"""How far the time in a phone's endorsement may be from admin's, when it arrives."""
MAX_REFUSED = 10
"""Devices that admin keeps as refused for one invitation. Whoever has approval and a link could announce any number."""


class Reason(StrEnum):
    """Why an authenticator does not count: the codes in `AuthenticatorChanged.reason`."""

    WITHDRAWN = "withdrawn"
    """A newer invitation had withdrawn the one that endorsed it, or the person was suspended, removed or signed out
    everywhere since it was made.
    """
    EXPIRED = "expired"
    USED = "used"
    """The invitation has vouched for another device: it is good for the first only."""
    KNOWN_KEY = "known_key"
    """The account has an authenticator with this key or credential id already, or had one that was removed."""
    ADMINISTRATOR = "administrator"
    """An administrator removed it."""
    ACCOUNT_REMOVED = "account_removed"
    """Its person's account was removed. It stays so when that is undone."""
    PERSON = "person"
    """The person removed it, by an assertion that admin verified."""
    ENDORSER = "endorser"
    """The phone that endorsed it does not count, or not any more."""
    DEVICE_REMOVED = "device_removed"
    """approval says that the device was removed. Its word is enough to end a device, and for nothing else."""


@dataclass(frozen=True, slots=True)
class EndorsedKey:
    """The key of a device that approval announced, once the invitation's own key is found to have signed it.

    Not verified: that the invitation still held.
    """

    device: str
    credential_id: str
    public_key: str
    """DER SubjectPublicKeyInfo, base64url."""
    key_sha256: str
    """SHA-256 of the public key's octets, base64url."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """A device's key, with what admin decided about it."""

    id: str
    tenant: str
    account: AccountId
    invitation: str
    """The invitation that endorsed it. Empty where a phone did, or admin had not kept it when it revoked the device."""
    status: AuthenticatorStatus
    decided_at: datetime
    credential_id: str = ""
    public_key: str = ""
    key_sha256: str = ""
    reason: str = ""
    not_after: datetime | None = None
    endorser: str = ""
    """The phone that endorsed it, where no invitation did."""
    name: str = ""
    """What its person has named it; empty where it has the name that the device gave itself."""
    restorations: int = 0
    """The account's when this was made, which never changes: how often a removal of the account had been undone."""
    version: int = 1

    @property
    def is_trusted(self) -> bool:
        return self.status is AuthenticatorStatus.TRUSTED

    def may_have(self, key: EndorsedKey) -> bool:
        """Whether it is that key and credential, or one whose key is not known yet."""
        return not self.key_sha256 or (self.credential_id, self.key_sha256) == (
            key.credential_id,
            key.key_sha256,
        )

    def with_key(self, key: EndorsedKey, invitation: str) -> "Authenticator | None":
        """A tombstone made before its device's key was known, with that key; None when it has one."""
        if self.key_sha256:
            return None
        return replace(
            self,
            invitation=invitation,
            credential_id=key.credential_id,
            public_key=key.public_key,
            key_sha256=key.key_sha256,
            version=self.version + 1,
        )

    def renamed(self, name: str) -> "Authenticator | None":
        """The authenticator under that name; None when it has it, or does not count."""
        if not self.is_trusted or self.name == name:
            return None
        return replace(self, name=name, version=self.version + 1)

    def without_name(self) -> "Authenticator | None":
        """The authenticator without what its person named it; None when it has no such name, or still counts."""
        if self.is_trusted or not self.name:
            return None
        return replace(self, name="", version=self.version + 1)

    def revoked(self, reason: Reason, now: datetime) -> "Authenticator | None":
        """The authenticator, revoked; None when it is not trusted anyway."""
        if not self.is_trusted:
            return None
        return replace(
            self,
            status=AuthenticatorStatus.REVOKED,
            reason=reason.value,
            decided_at=now,
            version=self.version + 1,
        )

    def event(self) -> AuthenticatorChanged:
        """The state event: the decision, and which key it is about. The key itself comes with its own chain."""
        return AuthenticatorChanged(
            version=self.version,
            authenticator=self.id,
            kind="phone",
            account=self.account,
            credential_id=self.credential_id,
            key_sha256=self.key_sha256,
            endorsed_by=EndorsedBy(kind="authenticator", id=self.endorser)
            if self.endorser
            else EndorsedBy(kind="invitation", id=self.invitation),
            status=self.status,
            reason=self.reason,
            not_after=self.not_after,
            name=self.name,
        )

    def announced(self, cause: Envelope | None = None) -> OutgoingMessage:
        """`admin.authenticator.changed.v1`. `cause`: the envelope of the message that led to it."""
        return OutgoingMessage(self.event(), self.tenant, cause)


class Refusal(Exception):
    """The invitation does not make this key trusted; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class TooManyRefused(Exception):
    """So many devices were refused under that invitation that no more are kept."""


def check_claim(key: EndorsedKey, endorsed_by: str, others: Sequence[Authenticator]) -> None:
    """Refuse a key that the account has under another id. `others`: all authenticators of the account.

    `endorsed_by`: the id of the invitation, or of the phone, that endorsed it.

    A removed key must not come back under a new name, whoever endorses it. Nor must one that was refused when the same
    phone endorsed it: nothing spends a phone's endorsement, so without that the same one would be tried again once the
    account may be used. Raises Refusal, TooManyRefused.
    """
    refused = 0
    for other in others:
        if other.id == key.device:
            continue
        same_key = other.credential_id == key.credential_id or other.key_sha256 == key.key_sha256
        if other.status is not AuthenticatorStatus.REFUSED:
            if same_key:
                raise Refusal(Reason.KNOWN_KEY)
            continue
        refused += endorsed_by in (other.invitation, other.endorser)
        if same_key and other.endorser == endorsed_by:
            raise Refusal(Reason.KNOWN_KEY)
    if refused >= MAX_REFUSED:
        raise TooManyRefused(f"{refused} devices were refused under that endorser already")


def check_endorser(
    endorser: Authenticator, account: Account | None, statement: Statement, now: datetime
) -> None:
    """Refuse what a phone endorses that does not count now, or long ago by admin's clock, or for an account that is not
    active. Raises Refusal.

    Not verified: that the phone signed the statement.
    """
    if not endorser.is_trusted:
        raise Refusal(Reason.ENDORSER)
    if account is None or account.status is not AccountStatus.ACTIVE:
        raise Refusal(Reason.WITHDRAWN)
    try:
        fresh = made_within(statement, now, ENDORSED_WITHIN)
    except ValueError as error:
        raise Refusal(Reason.EXPIRED) from error
    if not fresh:
        raise Refusal(Reason.EXPIRED)


def spend(
    invitation: Invitation, key: EndorsedKey, session_epoch: int | None, now: datetime
) -> Invitation | None:
    """The invitation, used for that key; None when it was used for it before. Raises Refusal.

    `session_epoch`: the account's now, None when there is no such account. An invitation of another one was made before
    the person was suspended or signed out everywhere; it may have been written after the open ones were withdrawn.
    `now` is admin's own time: when the device was made, only the party that this limits could say.
    """
    if invitation.status == "used":
        if invitation.device != key.device:
            raise Refusal(Reason.USED)
        if invitation.key_sha256 is None:
            return with_missing_key(invitation, key)
        if (invitation.credential_id, invitation.key_sha256) != (key.credential_id, key.key_sha256):
            raise Refusal(Reason.USED)
        return None
    if invitation.status == "withdrawn" or invitation.session_epoch != session_epoch:
        raise Refusal(Reason.WITHDRAWN)
    if invitation.status == "expired" or is_over(invitation, now):
        raise Refusal(Reason.EXPIRED)
    return invitation.used_by(key.device, key.credential_id, key.key_sha256)


def with_missing_key(invitation: Invitation, key: EndorsedKey) -> Invitation | None:
    """An invitation that was used for that device before invitations kept keys, with the key; None for any other."""
    if invitation.device != key.device or invitation.key_sha256 is not None:
        return None
    return invitation.with_key(key.credential_id, key.key_sha256)


def is_over(invitation: Invitation, now: datetime) -> bool:
    """Whether no device is taken with it any more, even one that was under way when it ended."""
    return now > invitation.expires_at + GRACE
