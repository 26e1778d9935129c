"""Messages that admin owns: tenants, accounts, contacts and invitations, each as its whole state."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts import StateEvent
from shared.contracts.notify import MAX_SEALED
from shared.contracts.state import PullState, StatePulled


class AccountStatus(StrEnum):
    """Where an account stands. `removed` stays as a tombstone."""

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

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    name: str
    """Lower case, e.g. `contoso.example`."""
    issuer: str
    """issuerUri, unique in all of Entra; the token's Issuer byte for byte."""


class Application(BaseModel):
    """What people sign in to, made from a template."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    id: str
    name: str
    template: Literal["microsoft365"] = "microsoft365"
    session_hours: Literal[4, 8, 12] = 8
    first_method: Literal["push", "qr"] = "push"


SignInPolicy = Literal["open", "known_browsers", "passkeys_only"]
"""Where push and QR are taken: in any browser; in browsers that a passkey has vouched for; nowhere."""


class Policy(BaseModel):
    """Tenant policy; every field has a default, so that new behaviour is never a surprise."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
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
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify"})
    name: str
    applications: tuple[Application, ...]
    domains: tuple[Domain, ...]
    policy: Policy = Policy()
    removed: bool = False


class AccountChanged(StateEvent):
    """The whole state of an account."""

    TYPE: ClassVar[str] = "admin.account.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval"})
    account: str
    upn: str
    """The userPrincipalName in lower case."""
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


class InvitationChanged(StateEvent):
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
    status: Literal["open", "used", "withdrawn"]


class AdminPullState(PullState):
    """A follower asks admin for the tenants, accounts, contacts and invitations that have changed."""

    TYPE: ClassVar[str] = "admin.state.pull.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify"})


class AdminStatePulled(StatePulled):
    """A page of tenants, accounts, contacts and invitations, those that were removed or used included."""

    TYPE: ClassVar[str] = "admin.state.pulled.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed", "approval", "notify"})
