"""Messages that approval owns: challenges to a phone, devices, and what "Not me" froze."""

from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts import Command, Event, StateEvent
from shared.contracts.state import PullState, StatePulled

MAX_ID = 64
"""Characters of an id. Followers keep what approval says in rows, so its fields have limits."""


class OpenChallenge(Command):
    """wsfed asks: show this request to the account's phones.

    `context` is canonical JSON (RFC 8785) WITHOUT the code; the phone adds what the person typed and signs
    SHA-256 of the result. approval knows the right digest, so another one is a wrong code and counts.
    """

    TYPE: ClassVar[str] = "approval.challenge.open.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    challenge: str
    transaction: str
    account: str
    method: Literal["push", "qr"]
    context: str
    expected_digest: str
    """SHA-256 of the context with the right code, base64url."""
    browser: str
    """Stable pseudonym of the browser that asks: supersession and quotas are counted for each."""
    browser_known: bool
    known_as: str = Field(default="", max_length=MAX_ID)
    """The public id of the known browser (`wsfed.browser.changed.v1`). `browser` comes from a cookie that whoever asks
    may drop; this stays what it is as long as the browser is known. Empty when it is not, or was known before there
    were such ids.
    """
    lifetime: int = Field(ge=1, le=600)
    """Seconds from `occurred_at`; a duration, so that clocks which differ do not end it early."""
    handle_digest: str | None = None
    """For a QR code: SHA-256 of the one-time handle that it shows, base64url."""
    handle_lifetime: int | None = Field(default=None, ge=1, le=600)
    """For a QR code: seconds in which a phone may present the handle. Then the request goes on without it."""
    same_network: bool = False
    """The tenant's rule: approve only from the network of the browser (`address` in the context)."""
    renews: str | None = None
    """The challenge whose QR code the page took away for this one; a phone that has scanned it goes on with it."""
    decoy: bool = False
    """Nobody is asked: there is no such account, or it may not sign in, and `account` is an id of nobody. approval does
    the same work as for any other, so that nobody can measure the difference."""
    expects_push: bool = True
    """Whether the page lets the person expect a notification. Where it does not, as far as wsfed knows of the phones,
    nobody has to be told that there was none."""


class Proof(BaseModel):
    """A WebAuthn assertion over SHA-256(context), all base64url without padding except `context`."""

    model_config = ConfigDict(frozen=True)
    context: str
    """Canonical JSON with the code, exactly the octets that were hashed."""
    authenticator_data: str
    client_data_json: str
    signature: str


class ChallengeClaimed(Event):
    """A phone presented the handle of a QR code: the code is spent, the request is that phone's alone."""

    TYPE: ClassVar[str] = "approval.challenge.claimed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)
    challenge: str
    transaction: str
    account: str
    device: str


class ChallengeAccepted(Event):
    """A phone approved. wsfed believes nothing of this: it verifies the proof again itself."""

    TYPE: ClassVar[str] = "approval.challenge.accepted.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)
    challenge: str
    transaction: str
    account: str
    device: str
    proof: Proof


class ChallengeEnded(Event):
    """A challenge ended without an approval; `outcome` says how."""

    TYPE: ClassVar[str] = "approval.challenge.ended.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)
    challenge: str
    transaction: str
    account: str
    outcome: Literal["denied", "not_me", "expired", "superseded", "wrong_code", "limited"]


class ChallengeUnnotified(Event):
    """No phone was notified of a challenge: none has notifications on, a quota or a freeze stops them, or every push
    failed. The challenge goes on, and waits in the phones' own lists. It is said only of challenges of known browsers,
    since others must not learn of it, and only where a notification is expected.
    """

    TYPE: ClassVar[str] = "approval.challenge.unnotified.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)
    challenge: str
    transaction: str
    account: str


class Endorsement(BaseModel):
    """Why a new device key may be trusted: an older key signed it (docs/flows/enrolment.md, further-phone.md).

    An invitation's signature is over `shared.crypto.enrolment.NewDeviceKey.octets`; a phone's over a statement that
    names their SHA-256.
    """

    model_config = ConfigDict(frozen=True)
    kind: Literal["invitation", "authenticator"]
    by: str = Field(max_length=MAX_ID)
    """The id of the invitation, or of the phone, whose key signed."""
    signature: str = Field(default="", max_length=128)
    """An invitation's Ed25519 signature over the new key, 64 octets as base64url; empty from a phone."""
    offer: str = Field(default="", max_length=MAX_ID)
    """From a phone: the id of the offer, in the place of the invitation's in what names the new key."""
    server_nonce: str = Field(default="", max_length=64)
    """From a phone: approval's nonce in the statement, base64url."""
    proof: Proof | None = None
    """From a phone: `context` is the statement with the purpose `endorse`."""


Notifications = Literal["off", "on", "ended"]
"""Whether a phone gets notifications. `ended`: its push service knows the subscription no longer."""


class DeviceChanged(StateEvent):
    """A phone's key, whole. `public_key` is DER SubjectPublicKeyInfo, base64url."""

    TYPE: ClassVar[str] = "approval.device.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "admin", "notify"})
    device: str = Field(max_length=MAX_ID)
    account: str = Field(max_length=MAX_ID)
    credential_id: str = Field(max_length=1400)
    """At most 1,023 octets (WebAuthn section 4), base64url."""
    public_key: str = Field(max_length=2048)
    endorsement: Endorsement
    enrolled_at: datetime
    status: Literal["active", "removed"]
    name: str = Field(default="", max_length=200)
    backup_eligible: bool = False
    backed_up: bool = False
    notifications: Notifications = "off"


class FreezeChanged(StateEvent):
    """Whether notifications asked for by unknown browsers are frozen, because somebody answered "Not me"."""

    TYPE: ClassVar[str] = "approval.freeze.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    account: str = Field(max_length=MAX_ID)
    freeze: str = Field(max_length=MAX_ID)
    """Names the freeze: each "Not me" begins another. Empty when nothing is frozen."""
    since: datetime | None
    """When it began; null when nothing is frozen."""


class UnfreezePush(Command):
    """An administrator ends the freeze that "Not me" began. Quotas stay as they are: they refill by themselves."""

    TYPE: ClassVar[str] = "approval.push.unfreeze.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    account: str
    freeze: str = Field(default="", max_length=MAX_ID)
    """The freeze that the administrator saw. Another one, begun since, goes on; no name ends none."""


class ApprovalPullState(PullState):
    """A follower asks approval for the devices and freezes that have changed."""

    TYPE: ClassVar[str] = "approval.state.pull.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "admin", "notify"})


class ApprovalStatePulled(StatePulled):
    """A page of devices, those that were removed included, and of freezes."""

    TYPE: ClassVar[str] = "approval.state.pulled.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "admin", "notify"})
