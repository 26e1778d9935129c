"""Messages that notify owns: mail and push to be sent, and what push services said of them.

What a stranger must not read (an invitation link, an address, a push endpoint) is sealed for notify with
`shared.crypto.sealed_box`: it is in no message, log or database but sealed. The models of what is sealed are
here too, because two services must agree on them.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AfterValidator, AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from shared.contracts import Command, Event
from shared.ids import unb64u
from shared.text import has_invisible

DELIVERY_ID = r"^[A-Za-z0-9_.-]{1,128}$"
MAX_SEALED = 16 * 1024
Language = Literal["en", "fr"]


def _one_line(text: str) -> str:
    if has_invisible(text):  # a line feed in a name would begin a header or a line of the attacker's own
        raise ValueError("control characters")
    return text


def _address(text: str) -> str:
    local, at, domain = _one_line(text).rpartition("@")
    if not (at and local and domain) or set(text) & set(' "<>()[],;:\\') or "@" in local:
        raise ValueError("not an address")
    if not domain.isascii():
        raise ValueError("the domain is not in A-labels")
    return text


OneLine = Annotated[str, Field(max_length=256), AfterValidator(_one_line)]
MailAddress = Annotated[str, Field(max_length=254), AfterValidator(_address)]


class SendMail(Command):
    """Send one mail. Sent again under the same `delivery` by the same service, it is the same mail."""

    TYPE: ClassVar[str] = "notify.mail.send.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(days=1)
    delivery: str = Field(pattern=DELIVERY_ID)
    """Chosen by the sender, one for each mail."""
    kind: Literal["invitation", "team_invitation", "device_added", "alerts", "credential_ends"]
    """An invitation of a person, or of an administrator; what administrators should look at; that provisioning's secret
    or certificate ends. `device_added` is what admin of the release before sends.
    """
    expires_at: AwareDatetime
    """The time after which the mail must not be sent any more."""
    sealed: str = Field(max_length=MAX_SEALED)
    """The mail (`InvitationMail`, `TeamInvitationMail`, `AlertsMail`, `CredentialMail`) as JSON, sealed for notify with
    `mail_associated_data`.
    """


PushKind = Literal["request", "device_added", "device_removed"]


class SendPush(Command):
    """Tell one phone that something happened: `kind` says what, and nothing more is in it."""

    TYPE: ClassVar[str] = "notify.push.send.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"approval"})
    delivery: str = Field(pattern=DELIVERY_ID)
    """Chosen by the sender, one for each phone and thing to be told."""
    kind: PushKind = "request"
    """A sign-in request waits; or another phone of the account was added, removed."""
    account: str
    subscription: str
    expires_at: AwareDatetime
    """When a sign-in request ends, for one; later than that the push must not be sent."""
    sealed: str = Field(max_length=MAX_SEALED)
    """`PushSubscription` as JSON, sealed for notify with `push_associated_data`."""


class SubscriptionGone(Event):
    """The push service knows the subscription no longer, or its endpoint is none that we ever push to: forget it."""

    TYPE: ClassVar[str] = "notify.subscription.gone.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"approval"})
    account: str
    subscription: str


class PushFailed(Event):
    """A push did not reach its push service, and will not: refused for good, or the subscription is gone."""

    TYPE: ClassVar[str] = "notify.push.failed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"approval"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)
    delivery: str = Field(pattern=DELIVERY_ID)
    """The `delivery` of the command that asked for it."""
    account: str
    subscription: str


class _Sealed(BaseModel):
    """Base of the models that are sealed for notify."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class InvitationMail(_Sealed):
    """An invitation with its link: the only place where the link's secret leaves admin."""

    kind: Literal["invitation"] = "invitation"
    to: MailAddress
    name: OneLine
    """The person's display name."""
    language: Language
    organisation: OneLine
    invited_by: OneLine = ""
    """The administrator; empty: the mail says "an administrator"."""
    upn: OneLine
    link: str = Field(max_length=1024)
    expires_at: AwareDatetime
    another_phone: bool = False
    """Whether the person has enrolled a phone before."""


class TeamInvitationMail(_Sealed):
    """The one-time link with which somebody becomes an administrator of an organisation."""

    kind: Literal["team_invitation"] = "team_invitation"
    to: MailAddress
    name: OneLine
    language: Language
    organisation: OneLine
    invited_by: OneLine
    """The administrator's name."""
    link: str = Field(max_length=1024)
    expires_at: AwareDatetime


NoticeKind = Literal["device_added", "device_removed", "device_refused"]


class NoticeMail(_Sealed):
    """The notice, by another channel than the phone, that something became of a phone. notify writes it itself.

    It is sealed all the same: a delivery that waits is stored like an invitation.
    """

    kind: NoticeKind
    to: MailAddress
    former: bool = False
    """Whether the address was replaced by another one lately."""
    name: OneLine
    language: Language
    organisation: OneLine
    upn: OneLine
    device: OneLine
    """The phone's name, as it called itself."""
    at: AwareDatetime = Field(validation_alias=AliasChoices("at", "added_at"))
    """When. `added_at`: in what admin of the release before sealed."""


MAX_ALERT_LINES = 10


class AlertLine(_Sealed):
    """One thing that an administrator should look at."""

    kind: Literal["device_refused", "not_me"]
    at: AwareDatetime
    upn: OneLine
    """Whose account it is about."""
    detail: OneLine = ""
    """The phone's name, or the browser that had asked. Not proved."""
    reason: Annotated[str, Field(max_length=40)] = ""
    """Why a phone was refused, a code."""


class AlertsMail(_Sealed):
    """What the owners and administrators of an organisation should look at, since the mail before."""

    kind: Literal["alerts"] = "alerts"
    to: MailAddress
    name: OneLine
    language: Language
    organisation: OneLine
    device_refused: int = Field(ge=0)
    """How many phones were refused."""
    not_me: int = Field(ge=0)
    """How often somebody said "This isn't me"."""
    lines: tuple[AlertLine, ...] = Field(max_length=MAX_ALERT_LINES)
    """The oldest of them."""
    more: bool = False
    """Whether there are more than these counts say, which the next mail brings."""
    link: str = Field(max_length=1024)
    """The Overview in the console."""


class CredentialMail(_Sealed):
    """That what provisioning signs in to Entra with ends soon, or has ended."""

    kind: Literal["credential_ends"] = "credential_ends"
    to: MailAddress
    name: OneLine
    language: Language
    organisation: OneLine
    directory: OneLine
    """The domain that the connection names."""
    credential: Literal["secret", "certificate"]
    ends_at: AwareDatetime
    over: bool = False
    """Whether it has ended."""
    link: str = Field(max_length=1024)
    """The tab Provisioning in the console."""


AnyMail = InvitationMail | TeamInvitationMail | NoticeMail | AlertsMail | CredentialMail
Mail = Annotated[AnyMail, Field(discriminator="kind")]
MAIL: TypeAdapter[AnyMail] = TypeAdapter(Mail)


class Contact(_Sealed):
    """Where a person is written to, and how: what is sealed in `admin.contact.changed.v1`."""

    address: MailAddress
    name: OneLine
    """The person's display name."""
    language: Language
    upn: OneLine


def _point(text: str) -> str:
    octets = unb64u(text)
    if len(octets) != 65:
        raise ValueError("not an uncompressed point of P-256")
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets)
    return text


def _auth(text: str) -> str:
    if len(unb64u(text)) != 16:
        raise ValueError("not 16 octets")
    return text


class PushSubscription(_Sealed):
    """A browser's PushSubscription (Push API). Its endpoint is a capability: who has it can push to the phone.

    Not checked here: whose the endpoint is. notify alone knows which hosts it may speak to.
    """

    endpoint: str = Field(max_length=2048)
    p256dh: Annotated[str, Field(max_length=100), AfterValidator(_point)]
    """P-256 public key, uncompressed point, base64url (RFC 8291 section 3.1)."""
    auth: Annotated[str, Field(max_length=30), AfterValidator(_auth)]
    """Authentication secret, 16 octets, base64url (RFC 8291 section 3.2)."""


def mail_associated_data(tenant: str, delivery: str) -> str:
    """The associated data that a sealed mail is bound to."""
    return f"{SendMail.TYPE}/{tenant}/{delivery}"


def contact_associated_data(tenant: str, account: str) -> str:
    """The associated data that a sealed contact is bound to."""
    return f"admin.contact.changed.v1/{tenant}/{account}"


def push_associated_data(tenant: str, account: str, subscription: str) -> str:
    """The associated data that a sealed subscription is bound to."""
    return f"{SendPush.TYPE}/{tenant}/{account}/{subscription}"
