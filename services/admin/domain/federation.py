"""What Entra is told of a domain: the values of Graph's `internalDomainFederation`. Pure.

Names and values: Microsoft Graph v1.0, `internalDomainFederation`. The console, the command line and the scripts
(`federation_scripts`) all take them from here, so they cannot differ.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.admin.domain.tenants import Tenant
from shared.clouds import CLOUDS, Cloud, CloudName
from shared.errors import NotFound

MFA_BEHAVIOR = "acceptIfMfaDoneByFederatedIdp"
"""`federatedIdpMfaBehavior`. Always sent: Entra cannot unset it once it has one."""
PROMPT_BEHAVIOR = "nativeSupport"
PROTOCOL = "wsFed"
_DER_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A tenant's token-signing certificates, as wsfed announced them: base64 of DER on one line."""

    current: str
    next: str | None = None
    next_since: datetime | None = None
    previous: str | None = None
    version: int = 1
    """Counts their changes, by wsfed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """When a domain was first used, as wsfed announced it: its federation has taken effect."""

    first_request_at: datetime
    """Of the first request for a person of the domain. Not proved: anybody can make one."""
    first_sign_in_at: datetime | None = None
    """When the first person of the domain got a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """One domain as Entra is told of it.

    Certificates are base64 of DER on one line, without PEM armour. Raises ValueError without a signing certificate:
    Entra answers an error to a federation that has none, and leaves the domain federated and unmanageable.
    """

    domain: str
    cloud: CloudName
    display_name: str
    issuer_uri: str
    passive_sign_in_uri: str
    """It answers sign-in and sign-out both."""
    metadata_exchange_uri: str
    metadata_uri: str
    """The federation metadata, which Entra reads by itself before a certificate expires. It is no value of Graph's."""
    signing_certificate: str
    next_signing_certificate: str | None = None

    def __post_init__(self) -> None:
        for certificate in (self.signing_certificate, self.next_signing_certificate):
            if certificate is not None and not _is_der(certificate):
                raise ValueError("a federation's certificate must be base64 of DER on one line")

    @property
    def where(self) -> Cloud:
        """The cloud of the tenant's directory."""
        return CLOUDS[self.cloud]

    def values(self) -> Mapping[str, str]:
        """By their names in Graph, in the order in which people look at them. What there is none of is left out."""
        upcoming = self.next_signing_certificate
        return {
            "displayName": self.display_name,
            "issuerUri": self.issuer_uri,
            "passiveSignInUri": self.passive_sign_in_uri,
            "activeSignInUri": self.passive_sign_in_uri,
            "signOutUri": self.passive_sign_in_uri,
            "metadataExchangeUri": self.metadata_exchange_uri,
            "signingCertificate": self.signing_certificate,
            **({} if upcoming is None else {"nextSigningCertificate": upcoming}),
            "preferredAuthenticationProtocol": PROTOCOL,
            "federatedIdpMfaBehavior": MFA_BEHAVIOR,
            "promptLoginBehavior": PROMPT_BEHAVIOR,
        }


def federation_of(tenant: Tenant, domain: str, certificates: Certificates, *, origin: str) -> Federation:
    """What Entra is told of the tenant's domain of that name. `origin`: of the sign-in host. Raises NotFound."""
    found = next((each for each in tenant.domains if each.name == domain), None)
    if found is None:
        raise NotFound("admin.domain.unknown", tenant=tenant.slug, domain=domain[:80])
    own = f"{origin}/t/{tenant.slug}"
    return Federation(
        domain=found.name,
        cloud=tenant.cloud,
        display_name=tenant.name,
        issuer_uri=found.issuer,
        passive_sign_in_uri=f"{own}/wsfed",
        metadata_exchange_uri=f"{own}/{found.name}/mex",
        metadata_uri=f"{own}/{found.name}/FederationMetadata/2007-06/FederationMetadata.xml",
        signing_certificate=certificates.current,
        next_signing_certificate=certificates.next,
    )


def _is_der(text: str) -> bool:
    """Not verified: that it is a certificate. Whoever made the key did that."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return octets[:1] == bytes([_DER_SEQUENCE])
