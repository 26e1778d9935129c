"""Messages that admin owns: tenants, accounts with contacts and profiles, invitations and authenticators, each as its
whole state.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.clouds import CloudName
from shared.contracts import Command, StateEvent
from shared.contracts.approval import MAX_ID, Proof
from shared.contracts.notify import MAX_SEALED
from shared.contracts.state import PullState, StatePulled
from shared.picture import MAX_PNG

MAX_LOGO = 4 * ((MAX_PNG + 2) // 3)
"""Characters of a logo in base64."""
MAX_LICENCES = 100
"""Licences of one person that are assigned from here."""


class AccountStatus(StrEnum):
    """Where an account stands.

    `removed` can become `invited` or `suspended` again for 30 days, and then it stays as a tombstone
    (docs/flows/removal.md).
    """

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"

    @property
    def can_sign_in(self) -> bool:
        """Whether the person may use what they enrolled.

        An account whose first phone was enrolled a second ago is still `invited`; the phone has its own chain.
        """
        return self in (AccountStatus.INVITED, AccountStatus.ACTIVE)


class Domain(BaseModel):
    """A DNS domain of the tenant that Entra federates to us."""

    model_config = ConfigDict(frozen=True)
    name: str
    """Lower case, e.g. `contoso.example`."""
    issuer: str
    """issuerUri, unique in all of Entra; the token's Issuer byte for byte."""


class Application(BaseModel):
    """What people sign in to, made from a template."""

    model_config = ConfigDict(frozen=True)
    id: str
    name: str
    template: Literal["microsoft365"] = "microsoft365"
    session_hours: Literal[4, 8, 12] = 8
    first_method: Literal["push", "qr"] = "push"


SignInPolicy = Literal["open", "known_browsers", "passkeys_only"]
"""Where push and QR are taken: in any browser; in browsers that a passkey has vouched for; nowhere."""


class Policy(BaseModel):
    """Tenant policy; every field has a default, so that new behaviour is never a surprise."""

    model_config = ConfigDict(frozen=True)
    badge_counts_as_mfa: bool = False
    """BlokBadge at a registered kiosk counts as MFA only where the tenant says so (docs/conformance-800-63b.md)."""
    session_idle_minutes: int = Field(default=120, ge=5, le=720)
    """A browser's session ends when no token was asked for this long."""
    sign_in: SignInPolicy = "open"
    """Where push and QR are taken; a passkey always is. docs/flows/passkey.md says what each setting stops."""
    same_network_or_passkey: bool = False
    """An approval counts only from the browser's own network, as approval sees it; elsewhere a passkey is needed."""


class TenantConfigured(StateEvent):
    """The whole state of a tenant: its applications, domains and policy."""

    TYPE: ClassVar[str] = "admin.tenant.configured.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify", "provisioning"})
    name: str
    applications: tuple[Application, ...]
    domains: tuple[Domain, ...]
    policy: Policy = Policy()
    removed: bool = False
    cloud: CloudName = "worldwide"
    """Which of Microsoft's clouds its Entra directory is in (`shared/clouds.py`)."""
    logo: str = Field(default="", max_length=MAX_ID)
    """The name of the picture that `admin.logo.changed.v1` brings; empty without one."""


class LogoChanged(StateEvent):
    """The picture of an organisation, whole. Pages show it when the tenant's `logo` names it."""

    TYPE: ClassVar[str] = "admin.logo.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    name: str = Field(max_length=MAX_ID)
    """The beginning of the SHA-256 of the file, base64url; empty when the logo was removed."""
    png: str = Field(max_length=MAX_LOGO)
    """The file in base64, of the kind that `shared/picture.py` makes; empty when the logo was removed."""
    previous_name: str = Field(default="", max_length=MAX_ID)
    """The name of the one before, which the tenant's `logo` names until the next is named; empty without one."""
    previous_png: str = Field(default="", max_length=MAX_LOGO)
    """That file."""


EPOCHS_IN_A_GENERATION = 2**31
"""How many session epochs an account can have before its numbers would meet those of the next generation."""


class CarriesSessionEpoch(StateEvent):
    """State that names the session epoch of an account.

    Whatever is begun for a person (a session, a known browser, a sign-in) keeps the `epoch` of the account as it is
    known then, and counts only while the account still has the same one. No clock takes part.
    """

    session_epoch: int = Field(default=0, ge=0, le=EPOCHS_IN_A_GENERATION - 1)
    """Of an account: raised by a suspension, a removal, and by signing the person out everywhere. Of an invitation:
    that of its account when it was made. 0 in messages from before there were any.
    """

    @property
    def epoch(self) -> int:
        """What readers keep and compare. With the generation, because a backup of admin's database that was put back
        has forgotten who was signed out since: everything that was begun before counts no longer.
        """
        return self.generation * EPOCHS_IN_A_GENERATION + self.session_epoch


class AccountChanged(CarriesSessionEpoch):
    """The whole state of an account."""

    TYPE: ClassVar[str] = "admin.account.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "provisioning"})
    account: str
    upn: str
    """The userPrincipalName in lower case. Empty, as `display_name` is, once it was removed for good."""
    display_name: str
    immutable_id: str = Field(max_length=64)
    status: AccountStatus


class ContactChanged(StateEvent):
    """Where the person behind an account is written to. notify alone can read it."""

    TYPE: ClassVar[str] = "admin.contact.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"notify"})
    account: str = Field(max_length=64)
    sealed: str = Field(max_length=MAX_SEALED)
    """`Contact` as JSON, sealed for notify with `contact_associated_data`; empty when the account was removed."""


class ProfileChanged(StateEvent):
    """What Entra is told of a person beside the account itself. Only provisioning needs it."""

    TYPE: ClassVar[str] = "admin.profile.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"provisioning"})
    account: str = Field(max_length=64)
    first_name: str = Field(max_length=64)
    last_name: str = Field(max_length=64)
    usage_location: str = Field(default="", max_length=2)
    """Country of two letters (ISO 3166-1), which a licence needs; empty: none is set from here."""
    licences: tuple[str, ...] = Field(default=(), max_length=MAX_LICENCES)
    """SKU ids of the licences that are assigned from here."""


InvitationStatus = Literal["open", "used", "withdrawn", "expired"]


class InvitationChanged(CarriesSessionEpoch):
    """An invitation, whole. Its secret is only in the link's fragment; this is the public half.

    Whoever holds the secret can sign a new device's key; nobody on the bus can (docs/flows/enrolment.md).
    """

    TYPE: ClassVar[str] = "admin.invitation.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval"})
    invitation: str
    account: str
    public_key: str
    """Ed25519 public key, 32 octets, base64url."""
    issued_at: datetime
    expires_at: datetime
    status: InvitationStatus
    """`expired`: its time was over before a device came with it. Readers compare `expires_at` besides."""
    device: str | None = None
    """The one device that it vouched for, once it is used. In invitations used before this field was, None."""
    credential_id: str | None = None
    """That device's WebAuthn credential id, base64url."""
    key_sha256: str | None = None
    """SHA-256 of that device's public key (DER SubjectPublicKeyInfo), base64url."""


class RenewInvitation(Command):
    """Somebody who holds an invitation's link that no longer works asks for a new one, by mail to the same address.

    The sender limits nothing and decides nothing: admin looks at its own account and invitations, and counts itself.
    """

    TYPE: ClassVar[str] = "admin.invitation.renew.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"approval"})
    invitation: str = Field(max_length=MAX_ID)
    """The one whose link was opened."""
    account: str = Field(max_length=MAX_ID)


class AuthenticatorStatus(StrEnum):
    """Admin's decision on an authenticator. `refused` and `revoked` are final."""

    TRUSTED = "trusted"
    REFUSED = "refused"
    """It was endorsed by an invitation that did not hold any more, for one."""
    REVOKED = "revoked"
    """It was trusted and is not any more; the tombstone of its key."""


class EndorsedBy(BaseModel):
    """What vouched for a new authenticator's key."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["invitation", "authenticator", "activation"]
    id: str = Field(max_length=MAX_ID)


class AuthenticatorChanged(StateEvent):
    """Admin's decision on anything that has a key and may prove who somebody is: whether it counts, and until when.

    Nobody else decides that. Readers require it besides the chain of endorsements, which they verify themselves.
    """

    TYPE: ClassVar[str] = "admin.authenticator.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify", "provisioning"})
    authenticator: str = Field(max_length=MAX_ID)
    """A phone's is the device id that approval announced."""
    kind: Literal["phone", "passkey", "badge", "kiosk"]
    account: str
    credential_id: str = Field(max_length=1400)
    """WebAuthn credential id, base64url. Empty in a phone's that was revoked before admin had kept its key."""
    key_sha256: str = Field(max_length=64)
    """SHA-256 of the public key (DER SubjectPublicKeyInfo), base64url; empty where the credential id is."""
    endorsed_by: EndorsedBy
    status: AuthenticatorStatus
    reason: str = Field(default="", max_length=40)
    """Why it is refused or revoked, as a short code for programs; empty for one that is trusted."""
    not_after: datetime | None = None
    """From then on it does not count, whatever else is said. None: it has no end of its own."""
    name: str = Field(default="", max_length=200)
    """What its person has named it. Empty: it has the name that the device gave itself."""


class RemoveAuthenticator(Command):
    """A person takes one of their own authenticators out of use. admin verifies the assertion itself.

    On the phone's page they sign for that (approval sends it); on their own page they have proved who they are a moment
    ago (wsfed sends it).
    """

    TYPE: ClassVar[str] = "admin.authenticator.remove.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"approval", "wsfed"})
    authenticator: str = Field(max_length=MAX_ID)
    account: str = Field(max_length=MAX_ID)
    version: int = Field(ge=1)
    """The version of `admin.authenticator.changed.v1` that the sender knew: the command is about that state only, so
    a copy of it that arrives later changes nothing.
    """
    signed_by: str = Field(max_length=MAX_ID)
    """The authenticator, trusted and of the same account, whose assertion it is."""
    server_nonce: str = Field(default="", max_length=64)
    """approval's nonce in the signed text, base64url; empty from wsfed."""
    proof: Proof
    """From approval, `context` is the statement with the purpose `remove` (`shared/crypto/statement.py`), naming the
    authenticator; from wsfed, the context of the visit (`AskedOnOwnPage`).
    """


class AskedOnOwnPage(Command):
    """What a person asks for on their own page (docs/flows/own-page.md). admin verifies the assertion itself."""

    account: str = Field(max_length=MAX_ID)
    signed_by: str = Field(max_length=MAX_ID)
    """The authenticator, trusted and of the same account, with which the person came to the page."""
    proof: Proof
    """`context` is that of the sign-in to the own page (`shared/crypto/visit.py`)."""


class RenameAuthenticator(AskedOnOwnPage):
    """A person names one of their own authenticators."""

    TYPE: ClassVar[str] = "admin.authenticator.rename.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    authenticator: str = Field(max_length=MAX_ID)
    version: int = Field(ge=1)
    """As in `admin.authenticator.remove.v1`."""
    name: str = Field(min_length=1, max_length=200)


class RemoveOwnBrowser(AskedOnOwnPage):
    """A person ends what one browser is known for, and its session."""

    TYPE: ClassVar[str] = "admin.browser.remove.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    browser: str = Field(max_length=MAX_ID)
    version: int = Field(ge=1)
    """That of `wsfed.browser.changed.v1`, as the person saw it."""


class SignOutPerson(AskedOnOwnPage):
    """A person ends everything that was begun for them: sessions, known browsers, sign-ins under way."""

    TYPE: ClassVar[str] = "admin.account.signout.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    session_epoch: int = Field(ge=0, le=EPOCHS_IN_A_GENERATION - 1)
    """The account's, as the person saw it. After another one there is nothing left to end."""


class AdminPullState(PullState):
    """A follower asks admin for the tenants, accounts with all that is theirs, and decisions that have changed."""

    TYPE: ClassVar[str] = "admin.state.pull.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify", "provisioning"})


class AdminStatePulled(StatePulled):
    """A page of tenants, accounts, contacts, profiles, invitations and authenticators, those that ended included."""

    TYPE: ClassVar[str] = "admin.state.pulled.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify", "provisioning"})
