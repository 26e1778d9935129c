"""Messages that wsfed owns: the keys that it takes, the browsers in which people are known, its signing keys, and how
sign-ins ended.
"""

from datetime import date, datetime, timedelta
from typing import ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts import Command, Event, StateEvent
from shared.contracts.state import PullState, StatePulled

MAX_CERTIFICATE = 8192
"""Characters of a certificate: RSA of 4096 bits takes some 2000."""
MAX_DOMAIN = 253
MAX_ID = 64
"""Characters of an id. Followers keep what wsfed says in rows, so its fields have limits."""


class AuthenticatorAccepted(Event):
    """From now on a proof by this key counts: said in the write by which wsfed comes to trust it, once for each key.

    It is wsfed's own knowledge. Whoever has taken over approval or admin cannot have a key count without it.
    """

    TYPE: ClassVar[str] = "wsfed.authenticator.accepted.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"notify"})
    authenticator: str = Field(max_length=MAX_ID)
    """A phone's is the device id that approval announced."""
    kind: Literal["phone", "passkey", "badge"] = "phone"
    account: str = Field(max_length=MAX_ID)
    key_sha256: str = Field(max_length=64)
    """SHA-256 of the public key (DER SubjectPublicKeyInfo), base64url."""
    name: str = Field(default="", max_length=200)
    """What the device calls itself. Not verified."""
    accepted_at: datetime


class BrowserChanged(StateEvent):
    """A browser in which a person has signed in, whole. It names neither the cookie nor anything made from it.

    One browser that several people use is as many of these.
    """

    TYPE: ClassVar[str] = "wsfed.browser.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    browser: str = Field(max_length=MAX_ID)
    """A public id: good for naming the browser, and for nothing else."""
    account: str = Field(max_length=MAX_ID)
    session_epoch: int = Field(ge=0, le=2**31 - 1)
    """That of the account, as admin said it, when the browser became known: it is known only under that one."""
    agent: str = Field(max_length=100)
    """What the browser calls itself, in our own words, e.g. `Firefox on Windows`. Not proved."""
    method: Literal["blokkey_push", "blokkey_qr", "passkey", "blokbadge"]
    """By what it is known: `passkey` once a passkey has vouched for it."""
    device: str = Field(max_length=MAX_ID)
    """The device that made it known. Once that device is removed the browser is a stranger."""
    first_seen: datetime
    """The day of the first sign-in, as its midnight in UTC: more would be a record of somebody's habits."""
    known_since: datetime
    """Since which day it is known by `method` and `device`."""
    last_seen: datetime
    """The day of the latest token."""
    known_until: datetime
    """Until when it stays known, unless it is used again."""
    removed: bool = False
    """An administrator has removed it. The id never comes back: signed in again, the browser has a new one."""


class KeysChanged(StateEvent):
    """A tenant's token-signing certificates, whole: what Entra has to be told. No private half leaves wsfed."""

    TYPE: ClassVar[str] = "wsfed.keys.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    current: str = Field(max_length=MAX_CERTIFICATE)
    """The certificate whose key signs: base64 of DER on one line."""
    next: str | None = Field(default=None, max_length=MAX_CERTIFICATE)
    """The one that is published and will sign, in the same form."""
    next_since: datetime | None = None
    """Since when it is published."""
    previous: str | None = Field(default=None, max_length=MAX_CERTIFICATE)
    """The one that has signed until lately."""


class DomainUsed(StateEvent):
    """When a domain of the tenant was first used: how an administrator sees that its federation has taken effect."""

    TYPE: ClassVar[str] = "wsfed.domain.used.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    domain: str = Field(max_length=MAX_DOMAIN)
    first_request_at: datetime
    """When the first request for a person of the domain came. Not proved: anybody can make one."""
    first_sign_in_at: datetime | None = None
    """When the first person of the domain got a token."""


AttemptMethod = Literal["blokkey_push", "blokkey_qr", "passkey", "blokbadge"]
AttemptOutcome = Literal["signed_in", "denied", "not_me", "wrong_code", "unanswered", "refused", "no_account"]
MAX_ATTEMPTS = 60
"""Attempts of an account that are said: the last 50 that a device answered, and the last 10 that none did."""


class SignInAttempt(BaseModel):
    """One request to a person's device, or one use of a passkey, and what became of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    at: AwareDatetime
    """When it ended."""
    method: AttemptMethod
    outcome: AttemptOutcome
    reason: str = Field(default="", max_length=40)
    """Why it was refused, a code; empty for every other outcome."""
    agent: str = Field(default="", max_length=100)
    """What the browser that asked calls itself, in our own words, e.g. `Firefox on Windows`. Not proved."""
    application: str = Field(default="", max_length=120)
    """The name of what was signed in to, as it was then."""


class OutcomeCount(BaseModel):
    """How often attempts by one method had one outcome."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    method: AttemptMethod
    outcome: AttemptOutcome
    count: int = Field(ge=1, le=2**53 - 1)


class SignInsCounted(StateEvent):
    """How many attempts to sign in ended on one day in a tenant, by method and outcome. They are for people."""

    TYPE: ClassVar[str] = "wsfed.signins.counted.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    day: date
    """In UTC."""
    counts: tuple[OutcomeCount, ...] = Field(max_length=64)


class SignInsListed(StateEvent):
    """The last attempts to sign in to one account, the latest first. They are for people, and decide nothing."""

    TYPE: ClassVar[str] = "wsfed.signins.listed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    account: str = Field(max_length=MAX_ID)
    attempts: tuple[SignInAttempt, ...] = Field(max_length=MAX_ATTEMPTS)


class RemoveBrowser(Command):
    """An administrator ends what one browser is known for, and its session.

    `version` is what the administrator saw. When the browser has become known in another way since (by another device,
    or by a passkey), the command is out of date and changes nothing.
    """

    TYPE: ClassVar[str] = "wsfed.browser.remove.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(days=7)
    """Long, because a stolen browser must go also when something was down for hours."""
    account: str = Field(max_length=MAX_ID)
    browser: str = Field(max_length=MAX_ID)
    version: int = Field(ge=1)


class AdvanceKeys(Command):
    """An administrator takes the next step of the roll-over of a tenant's token-signing key.

    `version` is that of the certificates that the administrator saw (`KeysChanged`). Under another one the command is
    out of date and changes nothing: so a copy changes nothing, and of two administrators at once one is followed.
    """

    TYPE: ClassVar[str] = "wsfed.keys.advance.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    step: Literal["next", "switch", "promote"]
    """`next` makes and publishes the next key, `switch` signs with it, `promote` destroys the one before."""
    version: int = Field(ge=1)
    at_once: bool = False
    """For `switch`: Entra has the next certificate, so the waiting time is spared."""


class WsFedPullState(PullState):
    """A follower asks wsfed for the known browsers, certificates, first uses and sign-ins that have changed."""

    TYPE: ClassVar[str] = "wsfed.state.pull.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})


class WsFedStatePulled(StatePulled):
    """A page of known browsers, those that were removed included, of certificates, first uses and sign-ins."""

    TYPE: ClassVar[str] = "wsfed.state.pulled.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
