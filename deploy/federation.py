"""What Entra must be told of a domain: the values of Graph's `internalDomainFederation`, and PowerShell that sets them.

Source: Microsoft Graph v1.0, `internalDomainFederation`, and the module Microsoft.Graph.Identity.DirectoryManagement.
"""

import re
from collections.abc import Mapping

from services.wsfed.domain.keys import certificate_base64
from services.wsfed.handlers import key_rollover
from services.wsfed.ports import Dependencies
from shared.clouds import Cloud

QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
"""What PowerShell takes for a single quotation mark, typographic ones included."""


async def federations(wsfed: Dependencies, tenant: str) -> dict[str, dict[str, str]]:
    """For each domain of the tenant the values by their names in Graph, as wsfed knows them now.

    Certificates are base64 of DER on one line. Raises NotFound when wsfed does not know the tenant.
    """
    ring = await key_rollover.show_keys(wsfed, tenant)
    found = await wsfed.directory.tenant(tenant)
    assert found is not None, "show_keys has found it"
    passive = f"{wsfed.origin}/t/{tenant}/wsfed"
    upcoming = {} if ring.next is None else {"nextSigningCertificate": certificate_base64(ring.next)}
    return {
        domain.name: {
            "displayName": found.configured.name,
            "issuerUri": domain.issuer,
            "passiveSignInUri": passive,
            "activeSignInUri": passive,
            "signOutUri": passive,
            "metadataExchangeUri": f"{wsfed.origin}/t/{tenant}/{domain.name}/mex",
            "signingCertificate": certificate_base64(ring.current),
            **upcoming,
            "preferredAuthenticationProtocol": "wsFed",
            "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
            "promptLoginBehavior": "nativeSupport",
        }
        for domain in found.configured.domains
    }


def federation_commands(domain: str, values: Mapping[str, str], cloud: Cloud) -> str:
    """PowerShell that federates the domain, reads it back, updates it and undoes it, with the values in place.

    `cloud`: where the tenant's directory is. Without its name PowerShell connects to the worldwide one.

    Not checked here, because it takes a connection to Entra: that the domain is verified, managed, and not the
    default one.
    """
    settings = "\n".join(
        f"    {name[0].upper()}{name[1:]} = {quoted(value)}" for name, value in values.items()
    )
    which = f"-DomainId {quoted(domain)}"
    return f"""\
# Once in this PowerShell (the module: Install-Module Microsoft.Graph.Identity.DirectoryManagement)
Connect-MgGraph -Environment '{cloud.graph_environment}' -Scopes 'Domain.ReadWrite.All', 'Directory.AccessAsUser.All'
$federation = @{{
{settings}
}}

# Federate {domain}: from now on its people sign in here
New-MgDomainFederationConfiguration {which} @federation

# Read it back
Get-MgDomainFederationConfiguration {which} | Format-List

# Change it later, such as its certificates
$id = (Get-MgDomainFederationConfiguration {which}).Id
Update-MgDomainFederationConfiguration {which} -InternalDomainFederationId $id @federation

# Undo it: its people need a password again, and it takes up to two hours to reach everybody
Update-MgDomain {which} -AuthenticationType 'Managed'
"""


def quoted(text: str) -> str:
    """A literal PowerShell string: nothing in it is expanded, and no quotation mark in it ends it."""
    return "'" + QUOTES.sub(lambda mark: mark[0] * 2, text) + "'"
