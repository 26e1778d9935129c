"""An account as approval sees it: one aggregate, one document, so that every limit is atomic."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from services.approval.domain.lifecycle import ChallengeState
from shared.contracts.admin import AccountStatus, InvitationStatus
from shared.contracts.approval import DeviceChanged, Endorsement, Notifications, Proof
from shared.errors import Forbidden, Unavailable
from shared.ids import b64u
from shared.store.aggregate import Changed


@dataclass(frozen=True, slots=True)
class Challenge:
    """One request to a phone. When it ends, what was signed is dropped and a small tombstone stays."""

    id: str
    transaction: str
    correlation: str
    """Correlation id of the sign-in, for the messages that tell of the end."""
    method: Literal["push", "qr"]
    context: str
    """Canonical JSON without the code; empty once the challenge has ended."""
    expected_digest: bytes
    """SHA-256 of the context with the right code; empty once the challenge has ended."""
    browser: str
    browser_known: bool
    handle_digest: str | None
    """SHA-256 of the handle of a QR code that nobody has scanned yet; the first phone that presents it spends it."""
    opened_at: datetime
    deadline: datetime
    sent_at: datetime | None = None
    """When wsfed sent the command, by its own clock. None in challenges from before this was kept."""
    handle_deadline: datetime | None = None
    """Until when the QR code can be scanned. None means as long as the request lives."""
    claimed_by: str | None = None
    """The device that scanned it: the request is this one's alone."""
    browser_address: str = ""
    """The browser's address, as the context has it; empty when it has none. Kept so that nobody parses it again."""
    same_network: bool = False
    """The tenant's rule: only a phone on the browser's network may approve it."""
    known_as: str = ""
    """`OpenChallenge.known_as`."""
    network: str = ""
    """The browser's network: a flood from one takes the places of its own requests first."""
    state: ChallengeState = ChallengeState.OPEN
    tries: int = 0
    """How many wrong codes were typed so far."""
    silenced: bool = False
    """No notification may be sent for it: a quota is spent, or push is frozen. It is listed all the same."""
    expects_push: bool = True
    """`OpenChallenge.expects_push`."""
    notifying: tuple[str, ...] = ()
    """The subscriptions to which notify was asked to push it, without those of which it has said that this failed."""
    ended_at: datetime | None = None

    @property
    def asked_at(self) -> datetime:
        """By which commands are ordered: see `Forgotten`."""
        return self.sent_at or self.opened_at

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be answered."""
        return self.state is ChallengeState.OPEN and now < self.ends_at

    @property
    def ends_at(self) -> datetime:
        """When it ends by itself: a QR code that nobody scanned ends before the request that it carries."""
        if self.claimed_by is None and self.handle_deadline is not None:
            return min(self.handle_deadline, self.deadline)
        return self.deadline


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Challenges that have ended and of which nothing else is kept. A command of the same kind that is not newer may be
    a copy of one of theirs.
    """

    known: bool
    """Those of known browsers; otherwise those that unknown browsers asked for from `network`."""
    network: str | None
    """None for known browsers, and for unknown ones from anywhere."""
    until: datetime
    """They were asked for until then, by wsfed's clock."""

    def may_name(self, challenge: Challenge) -> bool:
        """Whether the challenge may be one of them."""
        same = self.known is challenge.browser_known and self.network in (None, challenge.network)
        return same and challenge.asked_at <= self.until


@dataclass(frozen=True, slots=True)
class PhoneEndorsement:
    """A phone's assertion that a further phone is its person's: followers verify it themselves."""

    device: str
    """The phone that endorsed."""
    offer: str
    server_nonce: str
    proof: Proof
    """Over the statement with the purpose `endorse`."""

    def told(self) -> Endorsement:
        """As `DeviceChanged` carries it."""
        return Endorsement(
            kind="authenticator",
            by=self.device,
            offer=self.offer,
            server_nonce=self.server_nonce,
            proof=self.proof,
        )


@dataclass(frozen=True, slots=True)
class Device:
    """A phone's key. A removed one stays, so that its credential id is never taken again."""

    id: str
    version: int
    credential_id: str
    """WebAuthn credential id, base64url."""
    cose_key: bytes
    """The public key as the authenticator sent it (RFC 9052)."""
    public_key: bytes
    """The same key, DER SubjectPublicKeyInfo."""
    sign_count: int
    name: str
    enrolled_at: datetime
    invitation: str
    """The invitation that endorsed it; empty where a phone did."""
    endorsement: str
    """The invitation key's signature, base64url."""
    backup_eligible: bool
    backed_up: bool
    active: bool = True
    decision: Literal["waiting", "trusted", "refused", "revoked"] = "trusted"
    """What admin has decided: only what the phone is told depends on it, since wsfed asks admin itself. Devices that
    were enrolled before admin decided have no decision; they are in use.
    """
    decided: int = 0
    """The `order` of the event that told the decision; 0 while there is none."""
    subscription_ended: bool = False
    """Whether the push service ended its last subscription, and it has made no other since."""
    by_phone: "PhoneEndorsement | None" = None
    """How a phone of the same person endorsed it, where no invitation did."""
    given_name: str = ""
    """What the person has named it, as admin says; `name` is what it calls itself."""

    @property
    def shown_name(self) -> str:
        return self.given_name or self.name

    def changed(self, account: "Account") -> DeviceChanged:
        """The event that tells this device's whole state."""
        return DeviceChanged(
            version=self.version,
            device=self.id,
            account=account.id,
            credential_id=self.credential_id,
            public_key=b64u(self.public_key),
            endorsement=Endorsement(kind="invitation", by=self.invitation, signature=self.endorsement)
            if self.by_phone is None
            else self.by_phone.told(),
            enrolled_at=self.enrolled_at,
            status="active" if self.active else "removed",
            name=self.name,
            backup_eligible=self.backup_eligible,
            backed_up=self.backed_up,
            notifications=account.notifications_of(self),
        )


@dataclass(frozen=True, slots=True)
class Invitation:
    """What admin signed about an invitation, and whether we have spent it."""

    id: str
    version: int
    public_key: bytes
    """The invitation's Ed25519 public key, 32 octets."""
    expires_at: datetime
    status: InvitationStatus
    spent_by: str | None = None
    """The device that was made with it. Ours alone: admin learns it from `DeviceChanged`."""
    session_epoch: int = 0
    """That of its account when it was made."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a phone wants to be told of requests. It is sealed: approval cannot read it, only notify can."""

    id: str
    """A new one each time, so that news of an old one's end do not end it."""
    sealed: str
    """`shared.contracts.notify.PushSubscription`, sealed for notify."""
    since: datetime


@dataclass(frozen=True, slots=True)
class PastRequest:
    """How a request ended, and what the phone showed of it. For the person's eye: it proves nothing."""

    id: str
    """The challenge's."""
    state: ChallengeState
    method: Literal["push", "qr"]
    application_name: str
    agent: str
    """The browser that asked."""
    place: str
    address: str
    known_browser: bool
    opened_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that one person's approvals depend on.

    `version` 0 means that admin has not told us about it yet (its invitation came first). A `status` of None with a
    higher one means that it has lapsed: admin's database no longer has the account.
    """

    tenant: str
    id: str
    version: int = 0
    status: AccountStatus | None = None
    upn: str = ""
    display_name: str = ""
    devices: Mapping[str, Device] = field(default_factory=dict)
    invitations: Mapping[str, Invitation] = field(default_factory=dict)
    challenges: Mapping[str, Challenge] = field(default_factory=dict)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    """Push subscriptions by the id of their device; each device has one at most."""
    pushes_known: tuple[datetime, ...] = ()
    """When notifications were asked for by known browsers since the last success, at most a day back."""
    pushes_unknown: tuple[datetime, ...] = ()
    frozen_at: datetime | None = None
    """Since when "not me" stops notifications for unknown browsers."""
    freeze: str = ""
    """Names that freeze: the challenge that was reported last. Empty without one, and in one from before names."""
    frozen_browsers: tuple[str, ...] = ()
    """Known browsers whose requests were reported since the freeze began: their notifications are frozen, too."""
    freeze_version: int = 0
    """Counts the beginnings and ends of freezes, for `FreezeChanged`."""
    forgotten: tuple[Forgotten, ...] = ()
    """In the place of ended challenges for which there was no room any more."""
    history: Mapping[str, PastRequest] = field(default_factory=dict)
    """The last requests that ended, by id: see `history`."""
    session_epoch: int = 0
    """`CarriesSessionEpoch.epoch`: a session or an invitation from under another one counts no longer."""

    def with_challenge(self, *challenges: Challenge) -> "Account":
        return replace(self, challenges={**self.challenges, **{c.id: c for c in challenges}})

    def with_device(self, device: Device) -> "Account":
        return replace(self, devices={**self.devices, device.id: device})

    def device_of(self, credential_id: str) -> Device | None:
        """The device with that credential, active or not."""
        return next((d for d in self.devices.values() if d.credential_id == credential_id), None)

    def notifications_of(self, device: Device) -> Notifications:
        """Whether that device of the account gets notifications."""
        if not device.active:
            return "off"
        if device.id in self.subscriptions:
            return "on"
        return "ended" if device.subscription_ended else "off"

    def check_usable(self) -> None:
        """Raises Forbidden for a suspended or removed account, Unavailable while its news are under way.

        An account whose phone was enrolled a second ago is still `invited`; the phone has its own chain.
        """
        if self.status is None:
            raise Unavailable("approval.account.pending")
        if not self.status.can_sign_in:
            raise Forbidden("approval.account.unusable", code="account")


@dataclass(frozen=True, slots=True)
class Change(Changed[Account]):
    """What one step makes of an account: written as one conditional update, messages in the same write."""

    def then(self, other: "Change") -> "Change":
        """Both changes as one write: this one, and then `other`, which was made from this one's account."""
        return replace(other, messages=(*self.messages, *other.messages))


def active_device(account: Account, device_id: str) -> Device:
    """The account's device. Raises Forbidden when it was removed, or refused by admin (code `refused`)."""
    device = account.devices.get(device_id)
    if device is not None and device.decision == "refused":
        raise Forbidden("approval.device.refused", code="refused")
    if device is None or not device.active:
        raise Forbidden("approval.device.removed", code="device_removed")
    return device


def require_confirmed(account: Account, device_id: str) -> Device:
    """The account's device, when it may do what cannot be taken back and needs no proof: decline a request, freeze
    notifications, remove another phone.

    One that admin has not decided on yet may have been made with a link that was withdrawn: what it did would stay done
    after admin has refused it. Raises Forbidden (code `unconfirmed`, and as `active_device` does).
    """
    device = active_device(account, device_id)
    if device.decision == "waiting":
        raise Forbidden("approval.device.unconfirmed", code="unconfirmed")
    return device
