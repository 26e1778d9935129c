"""What Entra is told of a domain, and who has nothing to sign in with (docs/flows/federation.md, steps 2 and 3)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.admin.domain.accounts import Account
from services.admin.domain.federation import Federation, FirstUse, federation_of
from services.admin.domain.names import check_host, shown
from services.admin.domain.tenants import Tenant
from services.admin.handlers.accounts import read_cursor, write_cursor
from services.admin.handlers.common import MAX_PAGE, checked_limit
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import Domain
from shared.errors import BadInput, NotFound, Unavailable


@dataclass(frozen=True, slots=True)
class Readiness:
    """People of a domain who would sign in, and those of them who could not: they would be locked out of Microsoft 365
    once the domain is federated.
    """

    domain: str
    people: int
    without: int
    """How many of them have no authenticator that counts."""
    shown: tuple[Account, ...]
    """One page of those, in the order of their user names."""
    cursor: str | None = None
    """Leads to the next page; None at the end."""

    @property
    def is_ready(self) -> bool:
        return not self.without

    @property
    def upns(self) -> tuple[str, ...]:
        """The user names on the page."""
        return tuple(account.upn for account in self.shown)


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


async def readiness(
    deps: Dependencies, slug: str, domain: str, *, cursor: str | None = None, limit: int = MAX_PAGE
) -> Readiness:
    """Who of the domain, and of its sub-domains that follow it, has no authenticator that counts now: how many, and one
    page of them.

    The numbers are counted by an index, whatever the size of the tenant. Raises NotFound, BadInput (limit, cursor),
    Unavailable (accounts from before are not indexed yet).
    """
    limit = checked_limit(limit)
    after = None if cursor is None else read_cursor(cursor)
    tenant = await show_tenant(deps, slug)
    name = domain_of(tenant, domain).name
    if await deps.accounts.lacks_hosts(slug):
        raise Unavailable("admin.readiness.not_migrated")
    but = [each.name for each in tenant.domains if each.name.endswith(f".{name}")]
    holding, without = await asyncio.gather(
        *(deps.accounts.count_signing_in(slug, name, but=but, holds=each) for each in (True, False))
    )
    people = holding + without
    unknown: tuple[str, str] | None = None
    while page := await deps.accounts.maybe_without(
        slug, name, but=but, after=unknown, limit=MAX_PAGE, unknown=True
    ):
        people += len(page)
        without += len(await _without(deps, slug, page))
        unknown = page[-1].upn, page[-1].id
    found: list[Account] = []
    while len(found) <= limit:
        page = await deps.accounts.maybe_without(slug, name, but=but, after=after, limit=limit + 1)
        found += await _without(deps, slug, page)
        if len(page) <= limit:
            break
        after = page[-1].upn, page[-1].id
    last = found[limit - 1] if len(found) > limit else None
    return Readiness(
        name, people, without, tuple(found[:limit]), None if last is None else write_cursor(last)
    )


async def _without(deps: Dependencies, slug: str, accounts: Sequence[Account]) -> list[Account]:
    have = await deps.authenticators.holders(slug, [each.id for each in accounts], deps.clock.now())
    return [each for each in accounts if each.id not in have]


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
