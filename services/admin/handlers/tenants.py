"""Tenants, their applications and domains."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from services.admin.domain import tenants as rules
from services.admin.domain.names import check_name, check_slug
from services.admin.domain.tenants import Tenant
from services.admin.handlers.common import MAX_PAGE, checked_limit
from services.admin.ports import Dependencies
from shared.clouds import CLOUDS, CloudName
from shared.contracts.admin import Application, Domain, Policy
from shared.errors import BadInput, Conflict, NotFound
from shared.ids import new_id
from shared.store.aggregate import NotUnique


async def create_tenant(
    deps: Dependencies, slug: str, name: str, *, cloud: CloudName = "worldwide"
) -> Tenant:
    """A new tenant without applications and domains. Raises BadInput, Conflict."""
    tenant = new_tenant(slug, name, cloud=cloud)
    if not await deps.tenants.add(tenant):
        raise Conflict("admin.tenant.exists", tenant=slug)
    return tenant


def new_tenant(slug: str, name: str, *, cloud: CloudName = "worldwide") -> Tenant:
    """The same, not kept yet. Raises BadInput."""
    return Tenant(
        slug=check_slug(slug), name=check_name(name, "tenant's name", longest=100), cloud=_cloud(cloud)
    )


async def configure_tenant(
    deps: Dependencies,
    slug: str,
    *,
    name: str | None = None,
    policy: Policy | None = None,
    cloud: CloudName | None = None,
    logo: str | None = None,
    expected_version: int | None = None,
) -> Tenant:
    """Change name, policy, cloud or the logo's name. `expected_version` is what the administrator had on the screen.

    Raises NotFound, BadInput, Conflict (changed meanwhile).
    """
    checked = None if name is None else check_name(name, "tenant's name", longest=100)
    moved = None if cloud is None else _cloud(cloud)

    def change(tenant: Tenant) -> Tenant:
        return replace(
            tenant,
            name=checked or tenant.name,
            policy=policy or tenant.policy,
            cloud=moved or tenant.cloud,
            logo=tenant.logo if logo is None else logo,
        )

    return await _change_tenant(deps, slug, change, expected_version)


async def add_application(
    deps: Dependencies,
    slug: str,
    *,
    name: str = "Microsoft 365",
    session_hours: int = 8,
    first_method: str = "push",
    expected_version: int | None = None,
) -> Application:
    """An application from the template "Microsoft 365". Raises NotFound, BadInput, Conflict."""
    application = _application(new_id(deps.ids), name, session_hours, first_method)

    def change(tenant: Tenant) -> Tenant:
        _check_name_is_free(tenant, application)
        return replace(tenant, applications=(*tenant.applications, application))

    await _change_tenant(deps, slug, change, expected_version)
    return application


async def change_application(
    deps: Dependencies,
    slug: str,
    application: str,
    *,
    name: str,
    session_hours: int,
    first_method: str,
    expected_version: int | None = None,
) -> Application:
    """Name, session length and first method of an application. `application`: its id.

    Raises NotFound, BadInput, Conflict (changed meanwhile, or the name is taken).
    """
    changed = _application(application, name, session_hours, first_method)

    def change(tenant: Tenant) -> Tenant:
        if all(each.id != application for each in tenant.applications):
            raise NotFound("admin.application.unknown")
        _check_name_is_free(tenant, changed)
        kept = (changed if each.id == application else each for each in tenant.applications)
        return replace(tenant, applications=tuple(kept))

    await _change_tenant(deps, slug, change, expected_version)
    return changed


def _application(application: str, name: str, session_hours: int, first_method: str) -> Application:
    """Raises BadInput."""
    if session_hours not in rules.SESSION_HOURS:
        raise BadInput("admin.application.session_hours", hours=session_hours)
    if first_method not in rules.FIRST_METHODS:
        raise BadInput("admin.application.first_method", method=repr(first_method[:20]))
    return Application.model_validate(
        {
            "id": application,
            "name": check_name(name, "application's name"),
            "session_hours": session_hours,
            "first_method": first_method,
        }
    )


def _check_name_is_free(tenant: Tenant, application: Application) -> None:
    name = application.name.casefold()
    if any(each.name.casefold() == name and each.id != application.id for each in tenant.applications):
        raise Conflict("admin.application.exists", tenant=tenant.slug, application=application.name)


async def add_domain(
    deps: Dependencies,
    slug: str,
    name: str,
    *,
    issuer: str | None = None,
    expected_version: int | None = None,
) -> Domain:
    """A domain that Entra will federate to us. Raises NotFound, BadInput, Conflict.

    Not checked: that the tenant owns the rules. Entra does, when the federation is set up.
    """
    added = _domain(deps, slug, name, issuer)

    def change(tenant: Tenant) -> Tenant:
        if any(d.name == added.name for d in tenant.domains):
            raise Conflict("admin.domain.exists", tenant=slug, domain=added.name)
        return _with_domain(tenant, added)

    await _change_tenant(deps, slug, change, expected_version)
    return added


async def change_issuer(
    deps: Dependencies,
    slug: str,
    name: str,
    *,
    issuer: str | None = None,
    expected_version: int | None = None,
) -> Domain:
    """Another issuer for a domain; without one, the default under our present origin.

    Entra takes no token of the domain until its federation names the new issuer. Raises NotFound, BadInput, Conflict.
    """
    changed = _domain(deps, slug, name, issuer)

    def change(tenant: Tenant) -> Tenant:
        if all(d.name != changed.name for d in tenant.domains):
            raise NotFound("admin.domain.unknown", tenant=slug, domain=changed.name)
        return _with_domain(tenant, changed)

    await _change_tenant(deps, slug, change, expected_version)
    return changed


def _cloud(name: CloudName) -> CloudName:
    """The name of one of Microsoft's clouds. Raises BadInput."""
    if name not in CLOUDS:
        raise BadInput("admin.cloud.unknown", cloud=repr(name[:20]), known=", ".join(CLOUDS))
    return name


def _domain(deps: Dependencies, slug: str, name: str, issuer: str | None) -> Domain:
    """A domain with the issuer that was chosen, or with the default one. Raises BadInput."""
    checked = rules.check_domain(name)
    if issuer is None:
        issuer = rules.default_issuer(deps.origin, slug, checked)
    else:
        issuer = rules.check_issuer(issuer, origin=deps.origin, tenant=slug, domain=checked)
    return Domain(name=checked, issuer=issuer)


def _with_domain(tenant: Tenant, new: Domain) -> Tenant:
    """The tenant with that domain instead of the one of the same name, or after the others. Raises Conflict."""
    if any(d.issuer == new.issuer and d.name != new.name for d in tenant.domains):
        raise Conflict("admin.issuer.in_use")
    by_name = {d.name: d for d in tenant.domains} | {new.name: new}
    if len(by_name) > max(rules.MAX_DOMAINS, len(tenant.domains)):
        raise Conflict("admin.domain.enough", most=rules.MAX_DOMAINS)
    return replace(tenant, domains=tuple(by_name.values()))


async def show_tenant(deps: Dependencies, slug: str) -> Tenant:
    """The tenant with that slug. Raises NotFound."""
    return _found(await deps.tenants.get(slug), slug)


async def list_tenants(deps: Dependencies, *, after: str = "", limit: int = MAX_PAGE) -> Sequence[Tenant]:
    """Tenants whose slug comes after `after`. For the operator; a tenant's administrators never reach this."""
    return await deps.tenants.page(after, checked_limit(limit))


async def _change_tenant(
    deps: Dependencies, slug: str, change: Callable[[Tenant], Tenant], expected_version: int | None
) -> Tenant:
    def step(before: Tenant) -> Tenant:
        if expected_version is not None and before.version != expected_version:
            raise Conflict("admin.tenant.changed", tenant=slug)
        return replace(change(before), version=before.version + 1)

    busy = Conflict("admin.tenant.being_changed", tenant=slug)
    try:
        return _found(await deps.tenants.change(slug, step, busy=busy), slug)
    except NotUnique as error:
        # The domain or issuer is another tenant's. The error must not tell whose.
        raise Conflict("admin.domain.taken") from error


def _found(tenant: Tenant | None, slug: str) -> Tenant:
    if tenant is None:
        raise NotFound("admin.tenant.unknown", tenant=slug[:40])
    return tenant
