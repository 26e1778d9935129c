"""What describes us to Entra: federation metadata and MEX of each domain."""

from dataclasses import dataclass

from aiohttp import web

from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.domain.mex import mex_document
from services.wsfed.handlers.common import find_tenant
from services.wsfed.ports import Dependencies, Tenant
from shared.contracts.admin import Domain
from shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class MetadataRoutes:
    """Routes under `/t/{tenant}/{domain}/`."""

    deps: Dependencies

    def routes(self) -> list[web.RouteDef]:
        """URL to function. Microsoft writes the metadata path in different cases."""
        metadata = "(?i:federationmetadata/2007-06/federationmetadata.xml)"
        return [
            web.get("/t/{tenant}/{domain}/mex", self.mex),
            web.get(f"/t/{{tenant}}/{{domain}}/{{path:{metadata}}}", self.metadata),
        ]

    async def metadata(self, request: web.Request) -> web.Response:
        """Signed federation metadata of one domain."""
        tenant, domain = await self._domain(request)
        document = federation_metadata(
            issuer=domain.issuer,
            display_name=tenant.configured.name,
            passive_url=f"{self.deps.origin}/t/{tenant.slug}/wsfed",
            key=await self.deps.keys.current(tenant.slug),
            next_certificates=await self.deps.keys.upcoming(tenant.slug),
        )
        return web.Response(body=document, content_type="application/samlmetadata+xml", charset="utf-8")

    async def mex(self, request: web.Request) -> web.Response:
        """WSDL without any username/password endpoint."""
        tenant, domain = await self._domain(request)
        document = mex_document(issuer=domain.issuer, passive_url=f"{self.deps.origin}/t/{tenant.slug}/wsfed")
        return web.Response(body=document, content_type="text/xml", charset="utf-8")

    async def _domain(self, request: web.Request) -> tuple[Tenant, Domain]:
        tenant = await find_tenant(self.deps, request.match_info["tenant"])
        name = request.match_info["domain"].lower()
        for domain in tenant.configured.domains:
            if domain.name == name:
                return tenant, domain
        raise NotFound("wsfed.domain.unknown")
