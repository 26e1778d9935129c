"""What Entra is told of a domain, and who has nothing to sign in with (docs/flows/federation.md, steps 2 and 3)."""

from dataclasses import dataclass

from services.admin.domain.accounts import Account
from services.admin.domain.federation import Federation, FirstUse, federation_of
from services.admin.domain.names import check_host, shown
from services.admin.domain.tenants import Tenant, governing_domain
from services.admin.handlers.common import MAX_PAGE
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus, Domain
from shared.errors import BadInput, NotFound, Unavailable

SIGNS_IN = frozenset({AccountStatus.INVITED, AccountStatus.ACTIVE})
"""Who would sign in. A suspended person is kept out on purpose, and a removed one is gone."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """People of a domain who would sign in, and those of them who could not: they would be locked out of Microsoft 365
    once the domain is federated.
    """

    domain: str
    people: int
    without: tuple[Account, ...]
    """All of them, in the order of their user names."""

    @property
    def is_ready(self) -> bool:
        return not self.without

    @property
    def upns(self) -> tuple[str, ...]:
        """The user names of those without."""
        return tuple(account.upn for account in self.without)


async def federation(deps: Dependencies, slug: str, domain: str) -> Federation:
    """What Entra is told of the domain, with the certificates that sign today.

    Raises NotFound, Unavailable (wsfed has not said them yet).
    """
    tenant = await show_tenant(deps, slug)
    name = domain_of(tenant, domain).name
    certificates = await deps.certificates.of(slug)
    if certificates is None:
        raise Unavailable("admin.domain.no_certificate", tenant=slug)
    return federation_of(tenant, name, certificates, origin=deps.origin)


async def first_use(deps: Dependencies, slug: str, domain: str) -> FirstUse | None:
    """When the domain was first used; None while it was never. Raises NotFound."""
    tenant = await show_tenant(deps, slug)
    return await deps.first_uses.of(slug, domain_of(tenant, domain).name)


async def readiness(deps: Dependencies, slug: str, domain: str) -> Readiness:
    """Who of the domain, and of its sub-domains that follow it, has no authenticator that counts now.

    It reads every account of the tenant, 200 at a time, so it says nothing that held at one single moment. Raises
    NotFound.
    """
    tenant = await show_tenant(deps, slug)
    name = domain_of(tenant, domain).name
    people, without = 0, list[Account]()
    after: tuple[str, str] | None = None
    while page := await deps.accounts.page(slug, after=after, status=None, limit=MAX_PAGE):
        after = page[-1].upn, page[-1].id
        found = [
            each
            for each in page
            if each.status in SIGNS_IN and governing_domain(tenant, each.upn.rpartition("@")[2]) == name
        ]
        have = await deps.authenticators.holders(slug, [each.id for each in found], deps.clock.now())
        people += len(found)
        without += [each for each in found if each.id not in have]
    return Readiness(name, people, tuple(without))


def domain_of(tenant: Tenant, domain: str) -> Domain:
    """One of the tenant's domains. Raises NotFound, also for what is no domain at all."""
    try:
        name = check_host(domain)
    except BadInput as error:
        raise NotFound("admin.domain.unknown", tenant=tenant.slug, domain=shown(domain)) from error
    found = next((each for each in tenant.domains if each.name == name), None)
    if found is None:
        raise NotFound("admin.domain.unknown", tenant=tenant.slug, domain=name)
    return found
