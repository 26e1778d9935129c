"""Domains and their federation in the console (docs/flows/federation.md): what Entra is told, who took the script."""

from dataclasses import dataclass
from typing import Literal

from services.admin.domain.federation import Federation, FirstUse, federation_of
from services.admin.domain.federation_scripts import BACK_OUT, FEDERATE
from services.admin.domain.roles import Act, Actor
from services.admin.handlers.common import MAX_PAGE
from services.admin.handlers.federation import Readiness, domain_of, federation, readiness
from services.admin.handlers.recording import recorded
from services.admin.handlers.tenants import add_domain, show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import Domain
from shared.errors import BadInput

ScriptStep = Literal["shown", "downloaded"]
"""How a script was taken. Neither changes anything in Entra, and the record does not say that it did."""


@dataclass(frozen=True, slots=True)
class ListedDomain:
    """A domain, and how far its federation has come."""

    domain: Domain
    used: FirstUse | None


@dataclass(frozen=True, slots=True)
class ShownDomain:
    """A domain with all that Entra is told of it. `federation`: None while its certificate is not known here."""

    domain: Domain
    federation: Federation | None
    used: FirstUse | None


async def list_domains(deps: Dependencies, actor: Actor) -> list[ListedDomain]:
    """The tenant's domains. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_FEDERATION, deps.clock.now())
    tenant = await show_tenant(deps, actor.tenant)
    return [ListedDomain(each, await deps.first_uses.of(actor.tenant, each.name)) for each in tenant.domains]


async def list_federations(deps: Dependencies, actor: Actor) -> tuple[Federation, ...]:
    """What Entra is told of each domain; empty while the certificate is not known here. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_FEDERATION, deps.clock.now())
    tenant, certificates = await show_tenant(deps, actor.tenant), await deps.certificates.of(actor.tenant)
    if certificates is None:
        return ()
    return tuple(
        federation_of(tenant, each.name, certificates, origin=deps.origin) for each in tenant.domains
    )


async def show_domain(deps: Dependencies, actor: Actor, name: str) -> ShownDomain:
    """One of them. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_FEDERATION, deps.clock.now())
    tenant = await show_tenant(deps, actor.tenant)
    domain = domain_of(tenant, name)
    certificates = await deps.certificates.of(actor.tenant)
    told = (
        None if certificates is None else federation_of(tenant, domain.name, certificates, origin=deps.origin)
    )
    return ShownDomain(domain, told, await deps.first_uses.of(actor.tenant, domain.name))


async def show_readiness(
    deps: Dependencies, actor: Actor, name: str, *, cursor: str | None = None, limit: int = MAX_PAGE
) -> Readiness:
    """Who would be locked out. Raises Forbidden, NotFound, BadInput (limit, cursor), Unavailable."""
    actor.require(Act.SEE_FEDERATION, deps.clock.now())
    return await readiness(deps, actor.tenant, name, cursor=cursor, limit=limit)


async def add_tenants_domain(deps: Dependencies, actor: Actor, name: str) -> Domain:
    """A domain with its default issuer. Raises Forbidden, StepUpNeeded, BadInput, Conflict, NotFound, Unavailable."""
    actor.require(Act.CHANGE_FEDERATION, deps.clock.now())
    async with recorded(deps, actor, Act.CHANGE_FEDERATION, subject=name[:80]) as record:
        made = await add_domain(deps, actor.tenant, name)
        record.subject_id = record.subject = made.name
        record.after = {"domain": made.name}
    return made


async def take_script(
    deps: Dependencies, actor: Actor, name: str, *, typed: str, step: ScriptStep
) -> Federation:
    """What the script that federates the domain is made of, for whoever has typed how many would be locked out.

    Nobody has to type that it is nobody. The number is counted anew: somebody may have removed a phone meanwhile.
    Raises Forbidden, StepUpNeeded, NotFound, BadInput (`admin.federation.readiness`), Unavailable (no certificate yet).
    """
    actor.require(Act.CHANGE_FEDERATION, deps.clock.now())
    without = (await readiness(deps, actor.tenant, name, limit=1)).without
    if without and typed.strip() != str(without):
        raise BadInput("admin.federation.readiness", without=without)
    made = await federation(deps, actor.tenant, name)
    async with recorded(
        deps, actor, Act.CHANGE_FEDERATION, subject_id=made.domain, subject=made.domain
    ) as record:
        record.after = {"script": FEDERATE, "step": step, "without": str(without)}
    return made


async def take_back_out(deps: Dependencies, actor: Actor, name: str, *, step: ScriptStep) -> Federation:
    """The same for its twin. Raises Forbidden, StepUpNeeded, NotFound, BadInput, Unavailable."""
    actor.require(Act.CHANGE_FEDERATION, deps.clock.now())
    made = await federation(deps, actor.tenant, name)
    async with recorded(
        deps, actor, Act.CHANGE_FEDERATION, subject_id=made.domain, subject=made.domain
    ) as record:
        record.after = {"script": BACK_OUT, "step": step}
    return made
