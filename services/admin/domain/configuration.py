"""What a tenant's Microsoft 365 must be set to so that its people can sign in through us: the checklist. Pure.

Most of it is in the customer's directory, where nothing of ours may read. What this service knows by itself it says;
of the rest an administrator says that it is done, which is kept as a mark with name and time, and can be taken back.
Steps and commands: `configuration_steps`. Sources: docs/entra.md and Microsoft's pages that it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.admin.domain.federation import FirstUse
from services.admin.domain.tenants import Tenant
from shared.errors import Conflict, NotFound

CERTIFICATE_SOON = timedelta(days=60)
"""How long before its end a signing certificate is something to look at: Entra reads our metadata by itself only from
about 30 days before, and somebody has to notice when it does not."""


class Item(StrEnum):
    """What there is to set or to know. The values are stored, and stand in addresses and in the words."""

    FIRST_PERSON = "first-person"
    BREAK_GLASS = "break-glass"
    SECURITY_DEFAULTS = "security-defaults"
    VERIFIED_DOMAINS = "verified-domains"
    FEDERATION = "federation"
    CERTIFICATE = "certificate"
    MFA_BEHAVIOR = "mfa-behavior"
    PROMPT_BEHAVIOR = "prompt-behavior"
    TOKEN_VALIDATION = "token-validation"  # noqa: S105 - the name of a policy of Entra
    HOME_REALM = "home-realm"
    LEGACY_AUTHENTICATION = "legacy-authentication"
    AUTHENTICATION_STRENGTH = "authentication-strength"
    SIGN_IN_FREQUENCY = "sign-in-frequency"
    STAY_SIGNED_IN = "stay-signed-in"
    PASSKEY_CAMPAIGN = "passkey-campaign"
    SYSTEM_BROWSER = "system-browser"
    KNOWN_BROWSERS = "known-browsers"


class Reading(StrEnum):
    """How the state of an item can be found out."""

    OURS = "ours"
    """This service knows it."""
    GRAPH = "graph"
    """Microsoft Graph shows it to whoever has the item's permissions."""
    PORTAL = "portal"
    """Only Microsoft's admin centre shows it."""
    PEOPLE = "people"
    """It is nobody's setting: only people know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is true of an item in every tenant.

    `permissions`: of Microsoft Graph, application or delegated, that reading it takes. `each_domain`: it is set for
    each domain by itself, so that a mark is about the domains that there were.
    """

    reading: Reading
    permissions: tuple[str, ...] = ()
    each_domain: bool = False


_DOMAIN = Rule(Reading.GRAPH, ("Domain-InternalFederation.Read.All",), each_domain=True)
_VERIFIED = Rule(Reading.GRAPH, ("Domain.Read.All",), each_domain=True)
_POLICY = Rule(Reading.GRAPH, ("Policy.Read.All",))

RULES: Mapping[Item, Rule] = {
    Item.FIRST_PERSON: Rule(Reading.PEOPLE),
    Item.BREAK_GLASS: Rule(
        Reading.GRAPH, ("RoleManagement.Read.Directory", "User.Read.All", "UserAuthenticationMethod.Read.All")
    ),
    Item.SECURITY_DEFAULTS: _POLICY,
    Item.VERIFIED_DOMAINS: _VERIFIED,
    Item.FEDERATION: Rule(Reading.OURS),
    Item.CERTIFICATE: Rule(Reading.OURS),
    Item.MFA_BEHAVIOR: _DOMAIN,
    Item.PROMPT_BEHAVIOR: _DOMAIN,
    Item.TOKEN_VALIDATION: _POLICY,
    Item.HOME_REALM: _POLICY,
    Item.LEGACY_AUTHENTICATION: _POLICY,
    Item.AUTHENTICATION_STRENGTH: _POLICY,
    Item.SIGN_IN_FREQUENCY: _POLICY,
    Item.STAY_SIGNED_IN: Rule(Reading.PORTAL),
    Item.PASSKEY_CAMPAIGN: _POLICY,
    Item.SYSTEM_BROWSER: _DOMAIN,
    Item.KNOWN_BROWSERS: Rule(Reading.OURS),
}
"""Every item. Least permissions by the reference of Microsoft Graph v1.0, November 2026."""

GROUPS: Mapping[str, tuple[Item, ...]] = {
    "before": (Item.FIRST_PERSON, Item.BREAK_GLASS, Item.SECURITY_DEFAULTS),
    "domains": (
        Item.VERIFIED_DOMAINS,
        Item.FEDERATION,
        Item.CERTIFICATE,
        Item.MFA_BEHAVIOR,
        Item.PROMPT_BEHAVIOR,
        Item.TOKEN_VALIDATION,
        Item.HOME_REALM,
    ),
    "access": (
        Item.LEGACY_AUTHENTICATION,
        Item.AUTHENTICATION_STRENGTH,
        Item.SIGN_IN_FREQUENCY,
    ),
    "people": (
        Item.STAY_SIGNED_IN,
        Item.PASSKEY_CAMPAIGN,
        Item.SYSTEM_BROWSER,
        Item.KNOWN_BROWSERS,
    ),
}
"""The items in the order in which they are shown. Each stands in one group."""


class State(StrEnum):
    """Where an item stands. "Not known" is not "not done"."""

    DONE = "done"
    """Known here."""
    WAITING = "waiting"
    """Known here: not yet."""
    ATTENTION = "attention"
    """Known here: somebody should look."""
    OPTIONAL = "optional"
    """Known here: it is not so, and need not be."""
    MARKED = "marked"
    """Not known here; an administrator said that it is done."""
    OUTDATED = "outdated"
    """An administrator said so, and a domain was added since."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Mark:
    """An administrator's word that an item is done. `name`: theirs at that time.

    `item` is text, because a document may hold items that this release does not know. `domains`: those that the tenant
    had then, for an item that is set for each of them; otherwise empty.
    """

    id: str
    item: str
    administrator: str
    name: str
    at: datetime
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checklist:
    """A tenant's marks: at most one for each item."""

    tenant: str
    marks: tuple[Mark, ...] = ()
    version: int = 0

    def mark(self, item: Item) -> Mark | None:
        """The mark on that item."""
        return next((each for each in self.marks if each.item == item), None)

    def marked(self, mark: Mark) -> "Checklist":
        """The checklist with that mark; itself where a mark says the same already: whoever said it first did."""
        before = next((each for each in self.marks if each.item == mark.item), None)
        if before is not None and set(mark.domains) <= set(before.domains):
            return self
        kept = tuple(each for each in self.marks if each is not before)
        return replace(self, marks=(*kept, mark), version=self.version + 1)

    def taken_back(self, item: Item, mark: str) -> "Checklist":
        """The checklist without the mark of that id.

        Raises NotFound when the item has none; Conflict when it has another one by now, which its page did not show.
        """
        found = self.mark(item)
        if found is None:
            raise NotFound("admin.configuration.not_marked")
        if found.id != mark:
            raise Conflict("admin.configuration.changed", name=found.name)
        return replace(
            self, marks=tuple(each for each in self.marks if each is not found), version=self.version + 1
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """The verified domains of the directory, as provisioning read them with its last check."""

    names: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What this service knows of a tenant by itself. `used`: by domain. `certificate_until`: the end of the current
    signing certificate; None while there is none, or it cannot be read. `verified`: None while nothing of ours may read
    it.
    """

    tenant: Tenant
    used: Mapping[str, FirstUse]
    has_certificate: bool
    certificate_until: datetime | None
    now: datetime
    verified: Verified | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An item as it stands. `at`: since when, or until when for the certificate. `mark`: also where it is outdated.
    `domains`: the names that the state is about: not used yet, not verified, or added after the mark.
    """

    item: Item
    state: State
    at: datetime | None = None
    mark: Mark | None = None
    domains: tuple[str, ...] = ()

    @property
    def rule(self) -> Rule:
        return RULES[self.item]

    @property
    def is_done(self) -> bool:
        """Whether it counts as done, by whoever's word."""
        return self.state in (State.DONE, State.MARKED)

    @property
    def may_be_marked(self) -> bool:
        """Whether an administrator's word is asked for: not where this service knows better."""
        return self.state in (State.UNKNOWN, State.MARKED, State.OUTDATED)


def row(item: Item, checklist: Checklist, known: Known) -> Row:
    """How the item stands."""
    match item:
        case Item.FEDERATION:
            return _federation(known)
        case Item.CERTIFICATE:
            return _certificate(known)
        case Item.KNOWN_BROWSERS:
            is_on = known.tenant.policy.sign_in != "open"
            return Row(item, State.DONE if is_on else State.OPTIONAL)
        case Item.VERIFIED_DOMAINS if known.verified is not None and known.tenant.domains:
            names = {each.name for each in known.tenant.domains}
            missing = tuple(sorted(names - known.verified.names))
            return Row(item, State.ATTENTION if missing else State.DONE, known.verified.at, domains=missing)
    mark = checklist.mark(item)
    if mark is None:
        return Row(item, State.UNKNOWN)
    spoken_for = set(mark.domains)
    added = (
        tuple(sorted(each.name for each in known.tenant.domains if each.name not in spoken_for))
        if RULES[item].each_domain
        else ()
    )
    return Row(item, State.OUTDATED if added else State.MARKED, mark.at, mark, added)


def rows(checklist: Checklist, known: Known) -> Mapping[str, tuple[Row, ...]]:
    """All of them, by group."""
    return {group: tuple(row(item, checklist, known) for item in items) for group, items in GROUPS.items()}


def _federation(known: Known) -> Row:
    """Done once a person of each domain got a token. It says nothing about today: an event stays."""
    names = [each.name for each in known.tenant.domains]
    signed_in = {
        name: used.first_sign_in_at
        for name in names
        if (used := known.used.get(name)) is not None and used.first_sign_in_at is not None
    }
    missing = tuple(name for name in names if name not in signed_in)
    if missing or not names:
        return Row(Item.FEDERATION, State.WAITING, domains=missing)
    return Row(Item.FEDERATION, State.DONE, max(signed_in.values()))


def _certificate(known: Known) -> Row:
    until = known.certificate_until
    if not known.has_certificate:
        return Row(Item.CERTIFICATE, State.WAITING)
    if until is None or until - known.now < CERTIFICATE_SOON:
        return Row(Item.CERTIFICATE, State.ATTENTION, until)
    return Row(Item.CERTIFICATE, State.DONE, until)
