"""What the console's pages show: frozen, and nothing else. Routes make these; templates only read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from services.admin.domain.accounts import Account
from services.admin.domain.administrators import ADVISED_PASSKEYS, Administrator, ConsoleSession
from services.admin.domain.certificates import CertificateFacts, certificate_facts
from services.admin.domain.changes import Change
from services.admin.domain.configuration import Row
from services.admin.domain.federation import Certificates, Federation
from services.admin.domain.roles import RULES, Act, Role
from services.admin.domain.sign_ins import PERIODS
from services.admin.domain.signing_keys import KeyStep
from services.admin.domain.teams import Team
from services.admin.domain.tenants import Tenant
from services.admin.handlers.console_configuration import ShownItem
from services.admin.handlers.console_federation import ListedDomain, ShownDomain
from services.admin.handlers.console_keys import ShownKeys
from services.admin.handlers.console_overview import Overview
from services.admin.handlers.console_people import Person
from services.admin.handlers.federation import Readiness
from services.admin.pages.chart import Chart
from services.admin.pages.directory_words import (
    Explains,
    LinkState,
    ListedLicence,
    known_licences,
    licences_of,
    link_state,
)
from shared.contracts.admin import AccountStatus, Application, Policy
from shared.contracts.provisioning import ConnectionChanged, Fault
from shared.errors import BadInput, Blok365Error


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation: its key in words, its path below the tenant's, the act that its page needs, and its
    icon (`deploy.assets.make.ICONS`).
    """

    key: str
    path: str
    act: Act
    icon: str


SECTIONS = (
    Section("overview", "", Act.SEE_OVERVIEW, "house"),
    Section("people", "/people", Act.SEE_PEOPLE, "users"),
    Section("applications", "/applications", Act.SEE_APPLICATIONS, "layout-grid"),
    Section("federation", "/federation", Act.SEE_FEDERATION, "globe"),
    Section("configuration", "/configuration", Act.SEE_CONFIGURATION, "list-checks"),
    Section("administrators", "/administrators", Act.SEE_ADMINISTRATORS, "shield-check"),
    Section("changes", "/changes", Act.SEE_CHANGES, "history"),
)
"""The navigation, in its order. A role sees the entries that it may open."""


def initials(name: str) -> str:
    """Up to two letters for the circle beside a name: `AL` for Ada Lovelace."""
    words = [word for word in name.partition("@")[0].split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What every page of somebody who is signed in shows around its content."""

    administrator: Administrator
    session: ConsoleSession
    csrf: str
    tenant: Tenant | None = None
    role: Role | None = None
    sections: Sequence[Section] = ()
    section: str = ""
    """Key of the entry that the page belongs to."""
    several: bool = False
    """Whether there are other tenants to switch to."""
    said: str = ""
    """Key of the sentence about what was done on the page before; empty for none."""
    now: datetime

    @property
    def base(self) -> str:
        """The path of the tenant's pages."""
        return f"/t/{self.tenant.slug}" if self.tenant else ""

    @property
    def finds_people(self) -> bool:
        """Whether the role sees people, so that the frame has a search for them."""
        return any(each.key == "people" for each in self.sections)

    @property
    def few_passkeys(self) -> bool:
        """Whether the page advises another passkey."""
        return len(self.administrator.passkeys) < ADVISED_PASSKEYS

    @property
    def ends_in(self) -> int:
        """Seconds until the session ends if nothing more is asked in it."""
        return max(0, int((self.session.ends_at - self.now).total_seconds()))

    @property
    def initials(self) -> str:
        return initials(self.administrator.name)


@dataclass(frozen=True, slots=True)
class Crumb:
    """A step of the way to the page: a key in words, or a name as it is."""

    href: str
    key: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class WebAuthn:
    """What a page's script asks the browser to sign: `challenge` in base64url."""

    challenge: str
    rp_id: str


@dataclass(frozen=True, kw_only=True)
class PasskeyPage:
    """A page that asks for a passkey: to sign in, or once more before an act.

    `problem`: code of what was refused. `credentials`: the only ones that may answer; none for anybody's.
    """

    webauthn: WebAuthn
    to: str
    problem: str = ""
    csrf: str = ""
    name: str = ""
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JoinPage:
    """The page of a one-time link."""

    webauthn: WebAuthn
    administrator: str
    organisation: str
    role: Role
    name: str
    email: str
    action: str
    signed_in_as: str
    csrf: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, and what is wrong with it: errors by field."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Blok365Error] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """What stands in the field."""
        return self.values.get(name, "")


FIELD_OF = {
    "admin.upn.malformed": "upn",
    "admin.upn.no_domain": "upn",
    "admin.upn.other_domain": "upn",
    "admin.upn.too_long": "upn",
    "admin.account.exists": "upn",
    "admin.account.changed": "upn",
    "admin.account.unknown": "upn",
    "admin.domain.malformed": "upn",
    "admin.email.malformed": "email",
    "admin.team.member_exists": "email",
    "admin.console.typed": "typed",
    "admin.federation.readiness": "typed",
    "admin.application.session_hours": "session_hours",
    "admin.application.first_method": "first_method",
    "admin.policy.idle": "idle_minutes",
    "admin.policy.sign_in": "sign_in",
    "admin.connection.end": "secret_ends",
    "admin.connection.end_past": "secret_ends",
    "admin.location.malformed": "location",
    "admin.licence.location": "location",
    "admin.licence.unknown": "skus",
}
"""The field of a form that an error is about."""


def refused(values: Mapping[str, str], error: Blok365Error, *, otherwise: str) -> Form:
    """The form again, with the error at its field. `otherwise`: the field of an error that names none."""
    name = FIELD_OF.get(error.id, otherwise)
    if isinstance(error, BadInput) and "field" in error.values:
        name = str(error.values["field"])
    return Form(values, {name: error})


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of somebody who is signed in."""

    is_list: ClassVar[bool] = False
    """Whether its script fetches lists (`static/lists.js`)."""
    frame: Frame
    crumbs: tuple[Crumb, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Organisations(Page):
    """The tenants that the administrator has roles in, with the path that a choice leads to."""

    tenants: Sequence[tuple[Tenant, Role, str]]


@dataclass(frozen=True, kw_only=True)
class OverviewPage(Page):
    """The Overview. `application`: the id of the first one; `offered`: the acts that the role may do."""

    overview: Overview
    chart: Chart
    application: str
    offered: frozenset[Act]

    def offers(self, act: str) -> bool:
        """Whether the role may do the act with that value."""
        return Act(act) in self.offered

    def doers(self, act: str) -> str:
        """The least of the roles that may do the act, for whoever may not: `owner` or `administrator`."""
        return (Role.ADMINISTRATOR if Role.ADMINISTRATOR in RULES[Act(act)].roles else Role.OWNER).value

    @property
    def periods(self) -> tuple[int, ...]:
        return PERIODS


@dataclass(frozen=True, kw_only=True)
class PeopleList(Page, Explains):
    """A page of the list of people."""

    is_list = True

    accounts: Sequence[Account]
    query: str = ""
    status: AccountStatus | None = None
    faults: Mapping[str, Fault | None] | None = None
    """Of a list of people whose provisioning has failed: why, by account. None for any other list."""
    next: str | None = None
    """The path of the next page."""
    first: bool = True
    """Whether it is the first page."""
    may_create: bool = False

    @property
    def filtered(self) -> bool:
        """Whether an empty list means that nothing matches, not that there is nobody yet."""
        return bool(self.query or self.status or self.faults is not None or not self.first)


@dataclass(frozen=True, kw_only=True)
class PersonPage(Page, Explains):
    """A person's page. `offered`: the acts that the administrator may do."""

    person: Person
    offered: frozenset[Act]
    changes: Sequence[Change]
    sees_changes: bool

    @property
    def initials(self) -> str:
        return initials(self.person.account.display_name)

    @property
    def link(self) -> LinkState:
        """How the person's user in Entra is."""
        return link_state(self.person.link)

    @property
    def licences(self) -> Sequence[str]:
        """Names of the licences that the person has from here."""
        return licences_of(self.person.account, self.person.connection)

    def offers(self, act: str) -> bool:
        """Whether the page offers the act with that value."""
        return Act(act) in self.offered


@dataclass(frozen=True, kw_only=True)
class FormPage(Page):
    """A page with one form. `action`: where it is posted; `back`: where Cancel leads."""

    form: Form
    action: str
    back: str
    subject: str = ""
    version: int = 0
    domains: tuple[str, ...] = ()
    connection: ConnectionChanged | None = None
    """The connection to Entra, where the form asks for licences."""

    @property
    def licences(self) -> Sequence[ListedLicence]:
        """Those of the directory."""
        return known_licences(self.connection)

    @property
    def others(self) -> Sequence[str]:
        """SKU ids that are chosen and not listed: none in a new form."""
        return ()


@dataclass(frozen=True, kw_only=True)
class DetailsForm(FormPage):
    """The form for a person's names and address. `now`: its fields as they are, when somebody else has changed them
    since the form was shown; empty otherwise.
    """

    now: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Confirm(Page):
    """A question before an act that cannot be taken back, or that people feel at once.

    `act`: key of its words. `typed`: what must be typed; empty when nothing must. `counts`: what its sentences name.
    """

    act: str
    subject: str
    action: str
    back: str
    counts: Mapping[str, object] = field(default_factory=dict)
    typed: str = ""
    form: Form = field(default_factory=Form)
    hidden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ApplicationsPage(Page):
    """The applications."""

    applications: Sequence[Application]
    may_change: bool


@dataclass(frozen=True, kw_only=True)
class CertificateLine:
    """One of the token-signing certificates. `role`: current, next or previous; `text`: base64 of DER."""

    role: str
    text: str
    facts: CertificateFacts


def certificate_lines(certificates: Certificates | None) -> tuple[CertificateLine, ...]:
    """Those that there are, the current one first."""
    if certificates is None:
        return ()
    texts = (
        ("current", certificates.current),
        ("next", certificates.next),
        ("previous", certificates.previous),
    )
    return tuple(
        CertificateLine(role=role, text=text, facts=certificate_facts(text))
        for role, text in texts
        if text is not None
    )


@dataclass(frozen=True, kw_only=True)
class ApplicationPage(Page):
    """An application: its settings, the addresses that Entra is told for each domain, certificates, the policy."""

    application: Application
    policy: Policy
    federations: Sequence[Federation]
    domains: int
    """How many domains the tenant has; the addresses of one are shown once its certificate is known."""
    certificates: Certificates | None
    try_url: str
    """Where a test sign-in begins (docs/flows/try-it.md): on the sign-in host."""
    may_change: bool

    @property
    def lines(self) -> tuple[CertificateLine, ...]:
        return certificate_lines(self.certificates)


@dataclass(frozen=True, kw_only=True)
class LogoPage(Page):
    """The organisation's logo. `logo`: its name, empty without one. `largest`: width, height, octets."""

    logo: str
    version: int
    largest: tuple[int, int, int]
    form: Form


@dataclass(frozen=True, kw_only=True)
class KeyLines:
    """What tells Entra of a step of the roll-over, for one domain: lines of PowerShell."""

    domain: str
    text: str


@dataclass(frozen=True, kw_only=True)
class KeysPage(Page):
    """The token-signing keys. `shown`: None while wsfed has not said what they are. `lines`: of each domain."""

    shown: ShownKeys | None
    lines: Sequence[KeyLines]
    may_change: bool
    form: Form
    """What was wrong with a step that was asked for."""

    @property
    def certificates(self) -> tuple[CertificateLine, ...]:
        return certificate_lines(None if self.shown is None else self.shown.certificates)

    @property
    def steps(self) -> tuple[tuple[KeyStep, str], ...]:
        """Each step of the roll-over with how it stands: `done`, `due` or `ahead`."""
        order = tuple(KeyStep)
        due = len(order) if self.shown is None else order.index(self.shown.due)
        return tuple(
            (each, "done" if place < due else "due" if place == due else "ahead")
            for place, each in enumerate(order)
        )


@dataclass(frozen=True, kw_only=True)
class KeyStepPage(Page):
    """The question before a step. `waits`: the next key is too new, unless somebody says that Entra has it."""

    step: KeyStep
    version: int
    waits: bool
    switch_from: datetime | None
    form: Form


@dataclass(frozen=True, kw_only=True)
class FederationPage(Page):
    """The domains."""

    domains: Sequence[ListedDomain]
    may_change: bool


@dataclass(frozen=True, kw_only=True)
class DomainPage(Page):
    """A domain: what Entra is told of it, and how far its federation has come."""

    shown: ShownDomain
    applications: int
    has_emergency: bool
    """Whether an administrator has said that there are emergency administrators."""
    may_change: bool
    readiness: Readiness | None = None
    """How many would be locked out; None while that can't be counted."""

    @property
    def lines(self) -> tuple[CertificateLine, ...]:
        told = self.shown.federation
        if told is None:
            return ()
        return certificate_lines(
            Certificates(current=told.signing_certificate, next=told.next_signing_certificate)
        )


@dataclass(frozen=True, kw_only=True)
class ReadinessPage(Page):
    """Who would be locked out, or the question before the script. `shown`: one page of them."""

    readiness: Readiness
    shown: Sequence[Account] = ()
    next: str | None = None
    first: bool = True
    form: Form = field(default_factory=Form)


@dataclass(frozen=True, kw_only=True)
class ScriptPage(Page):
    """One of the two scripts. `typed`: what was typed to get it, which its download asks for again."""

    domain: str
    script: str = ""
    file: str = ""
    typed: str = ""
    back_out: bool = False


@dataclass(frozen=True, kw_only=True)
class ConfigurationPage(Page):
    """The checklist of the tenant's Microsoft 365, by group."""

    groups: Mapping[str, Sequence[Row]]

    @property
    def all(self) -> int:
        """How many items there are to do; what is optional is not counted."""
        return sum(row.state != "optional" for group in self.groups.values() for row in group)

    @property
    def done(self) -> int:
        return sum(row.is_done for group in self.groups.values() for row in group)


@dataclass(frozen=True, kw_only=True)
class ConfigurationItemPage(Page):
    """One item of it, with its steps."""

    shown: ShownItem
    may_change: bool
    may_change_policy: bool

    @property
    def may_mark(self) -> bool:
        """Whether the page asks for the administrator's word."""
        return self.may_change and self.shown.row.may_be_marked


@dataclass(frozen=True, kw_only=True)
class ChangesPage(Page):
    """What administrators did."""

    is_list = True

    changes: Sequence[Change]
    next: str | None
    subject: str = ""
    """The name of the one subject whose changes these are; empty for all."""


@dataclass(frozen=True, kw_only=True)
class TeamPage(Page):
    """The administrators of a tenant and the invitations that are open."""

    team: Team
    now: datetime
    may_change: bool


@dataclass(frozen=True, kw_only=True)
class AccountPage(Page):
    """The administrator's own passkeys and sessions."""

    sessions: Sequence[ConsoleSession]
    webauthn: WebAuthn
    recent: bool
    """Whether a passkey was used a moment ago, so that another can be added now."""
