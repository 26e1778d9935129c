"""What Entra must be told of a tenant's domains, with the certificates that the sign-in service has today."""

from collections.abc import Mapping

from services.admin.domain.federation import Federation, federation_of
from services.admin.domain.tenants import Tenant
from services.wsfed.domain.keys import certificate_base64
from services.wsfed.handlers import key_rollover
from services.wsfed.ports import Dependencies


async def federations(wsfed: Dependencies, slug: str) -> Mapping[str, Federation]:
    """For each domain of the tenant what Entra is told, as wsfed knows it now.

    Raises NotFound when wsfed does not know the tenant.
    """
    ring = await key_rollover.show_keys(wsfed, slug)
    found = await wsfed.directory.tenant(slug)
    assert found is not None, "show_keys has found it"
    configured = found.configured
    tenant = Tenant(slug=slug, name=configured.name, domains=configured.domains, cloud=configured.cloud)
    return {
        domain.name: federation_of(
            tenant,
            domain.name,
            origin=wsfed.origin,
            signing_certificate=certificate_base64(ring.current),
            next_signing_certificate=None if ring.next is None else certificate_base64(ring.next),
        )
        for domain in configured.domains
    }
