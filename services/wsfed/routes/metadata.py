"""What describes us to Entra: federation metadata and MEX of each domain."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from aiohttp import web

from services.wsfed.domain.keys import SigningKey
from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.domain.mex import mex_document
from services.wsfed.handlers.common import find_tenant
from services.wsfed.ports import Dependencies, Tenant
from shared.contracts.admin import Domain
from shared.errors import NotFound

MAX_DOCUMENTS = 1000
"""Signed documents that are held; the one that was asked for longest ago goes first, and is signed again if needed."""


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A signed document, and its entity tag (RFC 9110 section 8.8.3)."""

    body: bytes
    tag: str


class SignedDocuments:
    """Federation metadata, signed once for each domain and set of keys: anybody may ask for it, and a signature costs
    milliseconds of the event loop.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[object, ...], SignedDocument] = OrderedDict()

    def get(
        self,
        *,
        issuer: str,
        display_name: str,
        passive_url: str,
        key: SigningKey,
        next_certificates: tuple[bytes, ...],
    ) -> SignedDocument:
        """The document that `federation_metadata` makes of these, and raises what that raises."""
        made_of = (issuer, display_name, passive_url, key.certificate, next_certificates)
        found = self._held.pop(made_of, None)
        if found is None:
            body = federation_metadata(
                issuer=issuer,
                display_name=display_name,
                passive_url=passive_url,
                key=key,
                next_certificates=next_certificates,
            )
            found = SignedDocument(body, hashlib.sha256(body).hexdigest()[:32])
        self._held[made_of] = found
        if len(self._held) > MAX_DOCUMENTS:
            self._held.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class MetadataRoutes:
    """Routes under `/t/{tenant}/{domain}/`."""

    deps: Dependencies
    signed: "SignedDocuments" = field(default_factory=lambda: SignedDocuments())

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
        document = self.signed.get(
            issuer=domain.issuer,
            display_name=tenant.configured.name,
            passive_url=f"{self.deps.origin}/t/{tenant.slug}/wsfed",
            key=await self.deps.keys.current(tenant.slug),
            next_certificates=tuple(await self.deps.keys.upcoming(tenant.slug)),
        )
        # Kept by whoever likes, and asked for again each time: a key that was withdrawn must be seen to be gone.
        headers = {"ETag": f'"{document.tag}"', "Cache-Control": "no-cache"}
        if any(known.value in (document.tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=document.body,
            content_type="application/samlmetadata+xml",
            charset="utf-8",
            headers=headers,
        )

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
