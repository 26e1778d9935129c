"""The same tenants for the stand-in of Entra's sign-in (`deploy.standins.entra`), in the form of its settings."""

from collections.abc import Iterable

from deploy.standins.graph.exchange import Json
from deploy.standins.graph.tenant import Tenant

FIELDS = (
    "displayName",
    "issuerUri",
    "passiveSignInUri",
    "signOutUri",
    "activeSignInUri",
    "metadataExchangeUri",
    "signingCertificate",
    "nextSigningCertificate",
    "preferredAuthenticationProtocol",
    "federatedIdpMfaBehavior",
    "promptLoginBehavior",
)


def _signs_in(federation: Json) -> bool:
    """WS-Federation with a certificate: what that stand-in speaks."""
    return (
        bool(federation.get("signingCertificate"))
        and federation.get("preferredAuthenticationProtocol") == "wsFed"
    )


def settings(tenants: Iterable[Tenant]) -> Json:
    """Federated domains with their configuration, managed ones, and users with an immutable id. A domain whose
    configuration is missing (a POST without a certificate leaves that) signs nobody in, so it is left out.
    """
    domains: list[Json] = []
    managed: list[Json] = []
    users: list[Json] = []
    for tenant in tenants:
        for domain in tenant.domains.values():
            if domain.federation is not None and _signs_in(domain.federation):
                said = {
                    name: domain.federation[name]
                    for name in FIELDS
                    if domain.federation.get(name) is not None
                }
                domains.append({"domain": domain.id, "tenant": tenant.id, **said})
            elif not domain.federated:
                managed.append(
                    {
                        "domain": domain.id,
                        "tenant": tenant.id,
                        "isVerified": domain.verified,
                        "isRoot": domain.root,
                        "isDefault": domain.default,
                        "isInitial": domain.initial,
                    }
                )
        users += [
            {
                "immutable_id": user.immutable_id,
                "upn": user.upn,
                "tenant": tenant.id,
                "enabled": user.properties.get("accountEnabled") is True,
            }
            for user in tenant.users()
            if user.immutable_id is not None
        ]
    return {"domains": domains, "managedDomains": managed, "users": users}
