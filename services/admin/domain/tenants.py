"""Tenants with their domains and issuers: what they are and what may be written in them. Pure."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from services.admin.domain.names import check_host, shown
from shared.clouds import CloudName
from shared.contracts.admin import Application, Domain, Policy, TenantConfigured
from shared.contracts.envelope import OutgoingMessage
from shared.errors import BadInput

MAX_ISSUER = 256
MAX_DOMAINS = 200
"""Of one tenant. They travel in one message, and what is kept for each (when it was first used) is kept for ever."""
SESSION_HOURS = (4, 8, 12)
FIRST_METHODS = ("push", "qr")
INITIAL_DOMAINS = ("onmicrosoft.com", "onmicrosoft.us", "partner.onmschina.cn")
"""Entra cannot federate a domain under these; emergency administrators have their accounts there."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation with its applications, domains and policy."""

    slug: str
    name: str
    applications: tuple[Application, ...] = ()
    domains: tuple[Domain, ...] = ()
    policy: Policy = field(default_factory=Policy)
    version: int = 1
    cloud: CloudName = "worldwide"
    """Which of Microsoft's clouds its Entra directory is in."""
    logo: str = ""
    """The name of its logo (`domain.logos`); empty without one."""

    def event(self) -> TenantConfigured:
        """The state event: everything about the tenant, which every service may know."""
        return TenantConfigured(
            version=self.version,
            name=self.name,
            applications=self.applications,
            domains=self.domains,
            policy=self.policy,
            cloud=self.cloud,
            logo=self.logo,
        )

    def announced(self) -> OutgoingMessage:
        """The state event as a message for the outbox."""
        return OutgoingMessage(self.event(), self.slug)


def check_domain(text: str) -> str:
    """A domain that Entra can federate, lower case. Raises BadInput. Not checked: that the tenant owns it."""
    name = check_host(text)
    if any(name == initial or name.endswith("." + initial) for initial in INITIAL_DOMAINS):
        raise BadInput("admin.domain.initial", domain=name)
    return name


def governing_domain(tenant: Tenant, host: str) -> str | None:
    """The tenant's domain whose federation rules user names at that host: itself, or the nearest one above it.

    Entra lets a sub-domain follow its federated root until it is promoted to a domain of its own.
    """
    names = {domain.name for domain in tenant.domains}
    labels = host.split(".")
    above = (".".join(labels[start:]) for start in range(len(labels)))
    return next((name for name in above if name in names), None)


def default_issuer(origin: str, tenant: str, domain: str) -> str:
    """The issuerUri of a domain. It is unique in all of Entra, since nobody else has our origin."""
    return f"{origin}/t/{tenant}/{domain}"


def check_issuer(issuer: str, *, origin: str, tenant: str, domain: str) -> str:
    """An issuerUri that the administrator chose. Raises BadInput.

    An issuer under our own origin must be the domain's own default one. Any other is, or may become, the default
    issuer of another tenant's domain, in whose name tokens could then be issued.
    """
    default = default_issuer(origin, tenant, domain)
    try:
        parts = urlsplit(issuer)
    except ValueError as error:
        raise BadInput("admin.issuer.malformed", default=default) from error
    visible = issuer.isascii() and issuer.isprintable() and not set(issuer) & set(' "<>\\^`{|}')
    absolute = (parts.scheme in ("http", "https") and parts.netloc) or (parts.scheme == "urn" and parts.path)
    if not visible or not absolute or len(issuer) > MAX_ISSUER:
        raise BadInput("admin.issuer.scheme", issuer=shown(issuer), default=default)
    ours = urlsplit(origin)
    if parts.netloc.lower() == ours.netloc.lower() and issuer != default:
        raise BadInput("admin.issuer.foreign", default=default)
    return issuer
