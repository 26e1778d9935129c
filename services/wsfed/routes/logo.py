"""The organisation's logo (docs/flows/logo.md, step 5)."""

from dataclasses import dataclass

from aiohttp import web

from services.wsfed.ports import Dependencies, Tenant
from shared.errors import NotFound

KEPT = "public, max-age=31536000, immutable"
"""The name is made from the file, so under one name there is never another."""


@dataclass(frozen=True, slots=True)
class LogoRoutes:
    """`/t/{tenant}/logo/{name}`."""

    deps: Dependencies

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/t/{tenant}/logo/{name}", self.logo)]

    async def logo(self, request: web.Request) -> web.Response:
        """The PNG. Raises NotFound for any name but those of the logo now and of the one before."""
        kept = await self.deps.logos.of(request.match_info["tenant"])
        logo = next((each for each in kept if each.name == request.match_info["name"]), None)
        if logo is None:
            raise NotFound("wsfed.logo.unknown")
        return web.Response(body=logo.png, content_type="image/png", headers={"Cache-Control": KEPT})


def logo_path(tenant: Tenant) -> str:
    """Where the tenant's logo is; empty without one."""
    name = tenant.configured.logo
    return f"/t/{tenant.slug}/logo/{name}" if name else ""
