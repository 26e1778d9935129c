"""The organisation's logo in the console (docs/flows/logo.md)."""

from services.admin.domain.logos import logo_of_pixels
from services.admin.domain.roles import Act, Actor
from services.admin.handlers.recording import recorded
from services.admin.handlers.tenants import configure_tenant, show_tenant
from services.admin.ports import Dependencies
from shared.errors import Conflict, NotFound


async def show_logo(deps: Dependencies, actor: Actor) -> bytes:
    """The PNG that pages show. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_APPLICATIONS, deps.clock.now())
    tenant = await show_tenant(deps, actor.tenant)
    logo = await deps.logos.get(actor.tenant)
    if logo is None or not (png := logo.named(tenant.logo)):
        raise NotFound("admin.logo.none")
    return png


async def set_logo(
    deps: Dependencies, actor: Actor, *, width: str, height: str, pixels: str, expected_version: int
) -> None:
    """Steps 2 and 3: keep the picture, then name it in the tenant's configuration: pages show it by that alone.

    Killed in between, a picture is kept that no page shows, beside the one that they still show. Raises Forbidden,
    BadInput, Conflict (somebody else changed the tenant meanwhile), NotFound, Unavailable.
    """
    actor.require(Act.CHANGE_APPLICATION, deps.clock.now())
    png = logo_of_pixels(width, height, pixels)
    tenant = await show_tenant(deps, actor.tenant)
    if tenant.version != expected_version:  # before the picture that is named now is replaced
        raise Conflict("admin.tenant.changed", tenant=actor.tenant)
    async with recorded(
        deps, actor, Act.CHANGE_APPLICATION, subject_id=actor.tenant, subject=tenant.name
    ) as record:
        made = await deps.logos.change(actor.tenant, lambda before: before.replaced(png, tenant.logo))
        await configure_tenant(deps, actor.tenant, logo=made.name, expected_version=expected_version)
        record.after = {"logo": "set"}


async def remove_logo(deps: Dependencies, actor: Actor, *, expected_version: int) -> None:
    """The pages show initials again; then the picture is removed. Raises as `set_logo` does."""
    actor.require(Act.CHANGE_APPLICATION, deps.clock.now())
    tenant = await show_tenant(deps, actor.tenant)
    async with recorded(
        deps, actor, Act.CHANGE_APPLICATION, subject_id=actor.tenant, subject=tenant.name
    ) as record:
        await configure_tenant(deps, actor.tenant, logo="", expected_version=expected_version)
        await deps.logos.change(actor.tenant, lambda before: before.replaced(b""))
        record.after = {"logo": "removed"}
