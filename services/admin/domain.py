"""Tenants, accounts, invitations: what they are, what may become of them, what may be written in them. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Literal
from urllib.parse import urlsplit

import idna

from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    Application,
    Domain,
    InvitationChanged,
    Policy,
    TenantConfigured,
)
from shared.contracts.notify import DeviceAddedLetter, InvitationLetter, Language
from shared.errors import BadInput, Conflict
from shared.ids import unb64u
from shared.text import clean_line, has_invisible

AccountId = str
SLUG = re.compile(r"[a-z0-9-]{1,40}")
UPN_LOCAL = re.compile(r"[a-z0-9'.\-_!#^~]{1,64}")
"""Characters that Entra takes in a userPrincipalName, lower-cased (Microsoft Graph, user resource)."""
MAX_UPN = 113
"""Microsoft's limit: 64 before the @, 48 after."""
MAX_DISPLAY_NAME = 256
MAX_NAME = 64
MAX_EMAIL = 254
MAX_ISSUER = 256
SESSION_HOURS = (4, 8, 12)
FIRST_METHODS = ("push", "qr")
INITIAL_DOMAINS = ("onmicrosoft.com", "onmicrosoft.us", "partner.onmschina.cn")
"""Entra cannot federate a domain under these: it is where the break-glass administrator lives."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation."""

    slug: str
    name: str
    applications: tuple[Application, ...] = ()
    domains: tuple[Domain, ...] = ()
    policy: Policy = field(default_factory=Policy)
    version: int = 1

    def event(self) -> TenantConfigured:
        """Its whole state, for everybody."""
        return TenantConfigured(
            version=self.version,
            name=self.name,
            applications=self.applications,
            domains=self.domains,
            policy=self.policy,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """A person of a tenant."""

    id: AccountId
    tenant: str
    upn: str
    first_name: str
    last_name: str
    display_name: str
    email: str
    """Where the registration goes; may be private, since the new mailbox cannot be read yet."""
    immutable_id: str
    """onPremisesImmutableId in Entra and NameIdentifier in the token. Never changes."""
    status: AccountStatus
    enrolled: bool
    """A phone was enrolled at some time: decides where `resume` leads."""
    created_at: datetime
    version: int = 1

    def event(self) -> AccountChanged:
        """What the others may know: no e-mail address."""
        return AccountChanged(
            version=self.version,
            account=self.id,
            upn=self.upn,
            display_name=self.display_name,
            immutable_id=self.immutable_id,
            status=self.status,
        )


@dataclass(frozen=True, slots=True)
class Invitation:
    """The public half of an invitation."""

    id: str
    tenant: str
    account: AccountId
    public_key: str
    """Ed25519, 32 octets, base64url."""
    issued_at: datetime
    expires_at: datetime
    status: Literal["open", "used", "withdrawn"] = "open"
    device: str | None = None
    """The one device it vouched for."""
    version: int = 1

    def event(self) -> InvitationChanged:
        """Its whole state."""
        return InvitationChanged(
            version=self.version,
            invitation=self.id,
            account=self.account,
            public_key=self.public_key,
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            status=self.status,
        )

    def used_by(self, device: str) -> "Invitation":
        """Spent on that device."""
        return replace(self, status="used", device=device, version=self.version + 1)

    def withdrawn(self) -> "Invitation":
        """No longer good for anything."""
        return replace(self, status="withdrawn", version=self.version + 1)


class Step(Enum):
    """What can happen to an account."""

    ENROL = "enrol"
    SUSPEND = "suspend"
    RESUME = "resume"
    REMOVE = "remove"


TRANSITIONS: Mapping[tuple[AccountStatus, Step], AccountStatus] = {
    (AccountStatus.INVITED, Step.ENROL): AccountStatus.ACTIVE,
    (AccountStatus.INVITED, Step.SUSPEND): AccountStatus.SUSPENDED,
    (AccountStatus.INVITED, Step.REMOVE): AccountStatus.REMOVED,
    (AccountStatus.ACTIVE, Step.ENROL): AccountStatus.ACTIVE,
    (AccountStatus.ACTIVE, Step.SUSPEND): AccountStatus.SUSPENDED,
    (AccountStatus.ACTIVE, Step.REMOVE): AccountStatus.REMOVED,
    # A phone enrolled while its owner is suspended stays of no use until an administrator resumes.
    (AccountStatus.SUSPENDED, Step.ENROL): AccountStatus.SUSPENDED,
    (AccountStatus.SUSPENDED, Step.RESUME): AccountStatus.ACTIVE,
    (AccountStatus.SUSPENDED, Step.REMOVE): AccountStatus.REMOVED,
}
"""Every step that exists; any other pair is refused."""


def step(account: Account, what: Step) -> Account:
    """The account after `what`. Raises Conflict when its status does not allow it."""
    status = TRANSITIONS.get((account.status, what))
    if status is None:
        raise Conflict(
            "admin.account.wrong_status", upn=account.upn, status=account.status.value, step=what.value
        )
    enrolled = account.enrolled or what is Step.ENROL
    if what is Step.RESUME and not enrolled:
        status = AccountStatus.INVITED
    return replace(account, status=status, enrolled=enrolled, version=account.version + 1)


def immutable_id(account: AccountId) -> str:
    """Hexadecimal of the account id's 16 octets: no `$`, no `_`, the same in whatever case it comes back."""
    return unb64u(account).hex()


def invitation_letter(
    tenant: Tenant, account: Account, invitation: Invitation, link: str, language: Language
) -> InvitationLetter:
    """What is mailed with an invitation. It holds the link's secret: seal it at once."""
    return InvitationLetter(
        to=account.email,
        name=account.display_name,
        language=language,
        organisation=tenant.name,
        upn=account.upn,
        link=link,
        expires_at=invitation.expires_at,
        another_phone=account.enrolled,
    )


def device_letter(
    tenant: Tenant, account: Account, device: str, added_at: datetime, language: Language
) -> DeviceAddedLetter:
    """What is mailed when a phone was added. `device`: its name, as approval tells it, so anything at all."""
    return DeviceAddedLetter(
        to=account.email,
        name=account.display_name,
        language=language,
        organisation=tenant.name,
        upn=account.upn,
        device=clean_line(device, MAX_NAME) or "?",
        added_at=added_at,
    )


def check_slug(slug: str) -> str:
    """A tenant's slug as it stands in URLs. Raises BadInput."""
    if not SLUG.fullmatch(slug):
        raise BadInput("admin.slug.malformed", slug=_shown(slug))
    return slug


def check_name(text: str, what: str, *, longest: int = MAX_NAME) -> str:
    """A name, trimmed and in NFC. Raises BadInput when empty, too long, or with control characters."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > longest:
        raise BadInput("admin.name.length", what=what, length=len(name), longest=longest)
    if has_invisible(name):
        raise BadInput("admin.name.invisible", what=what)
    return name


def check_host(text: str) -> str:
    """A DNS domain as A-labels in lower case (IDNA 2008, UTS 46 mapping). Raises BadInput."""
    try:
        name = idna.encode(text.strip(), uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise BadInput("admin.domain.malformed", domain=_shown(text)) from error
    labels = name.split(".")
    if len(labels) < 2 or not labels[-1] or labels[-1].isdigit():
        raise BadInput("admin.domain.malformed", domain=_shown(text))
    return name


def check_domain(text: str) -> str:
    """A domain that Entra can federate, lower case. Raises BadInput. Not checked: that the tenant owns it."""
    name = check_host(text)
    if any(name == initial or name.endswith("." + initial) for initial in INITIAL_DOMAINS):
        raise BadInput("admin.domain.initial", domain=name)
    return name


@dataclass(frozen=True, slots=True)
class Phone:
    """A person's phone, as approval last said. A removed one stays."""

    id: str
    tenant: str
    account: AccountId
    name: str
    enrolled_at: datetime
    backed_up: bool
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Errand:
    """What an administrator asked another service to do."""

    id: str
    tenant: str
    account: AccountId
    what: Literal["remove_phone", "remove_all_phones", "unfreeze"]
    asked_at: datetime
    phone: str | None = None


def default_issuer(origin: str, tenant: str, domain: str) -> str:
    """The issuerUri of a domain: unique in all of Entra, since nobody else has our origin."""
    return f"{origin}/t/{tenant}/{domain}"


def check_issuer(issuer: str, *, origin: str, tenant: str, domain: str) -> str:
    """An issuerUri that the administrator chose. Raises BadInput.

    One under our own origin must be the domain's own: another is some other tenant's name, today or tomorrow.
    """
    default = default_issuer(origin, tenant, domain)
    try:
        parts = urlsplit(issuer)
    except ValueError as error:
        raise BadInput("admin.issuer.malformed", default=default) from error
    visible = issuer.isascii() and issuer.isprintable() and not set(issuer) & set(' "<>\\^`{|}')
    absolute = (parts.scheme in ("http", "https") and parts.netloc) or (parts.scheme == "urn" and parts.path)
    if not visible or not absolute or len(issuer) > MAX_ISSUER:
        raise BadInput("admin.issuer.scheme", issuer=_shown(issuer), default=default)
    ours = urlsplit(origin)
    if parts.netloc.lower() == ours.netloc.lower() and issuer != default:
        raise BadInput("admin.issuer.foreign", default=default)
    return issuer


def check_upn(text: str, tenant: Tenant) -> str:
    """A userPrincipalName in one of the tenant's domains, lower case. Raises BadInput."""
    local, at, domain = text.strip().rpartition("@")
    allowed = local.isascii() and UPN_LOCAL.fullmatch(local.lower())  # lower() makes a k of the Kelvin sign
    local = local.lower()
    if not at or not allowed or local[0] == "." or local[-1] == "." or ".." in local:
        raise BadInput("admin.upn.malformed", upn=_shown(text))
    name = check_host(domain)
    if name not in {d.name for d in tenant.domains}:
        known = ", ".join(d.name for d in tenant.domains) or "none yet"
        raise BadInput("admin.upn.other_domain", domain=name, tenant=tenant.slug, known=known)
    upn = f"{local}@{name}"
    if len(upn) > MAX_UPN:
        raise BadInput("admin.upn.too_long", upn=upn, length=len(upn), longest=MAX_UPN)
    return upn


def check_email(text: str) -> str:
    """An address that mail can be sent to, as it was written. Raises BadInput. Not checked: that it exists."""
    address = text.strip()
    local, at, domain = address.rpartition("@")
    if (
        not at
        or not 1 <= len(local) <= 64
        or len(address) > MAX_EMAIL
        or not all(c.isprintable() and c not in ' "(),:;<>@[\\]' for c in local)
    ):
        raise BadInput("admin.email.malformed", address=_shown(text))
    return f"{local}@{check_host(domain)}"


def _shown(text: str) -> str:
    """Somebody's input in our sentence: short, and nothing that a terminal would obey."""
    return ascii(text[:80]) if not text[:80].isprintable() else repr(text[:80])
