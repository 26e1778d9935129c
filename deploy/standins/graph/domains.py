"""Domains and their federation (`internalDomainFederation`): what may become federated, how, and the way back.

Sources: Microsoft's pages on internalDomainFederation, and reports of what really happens: a POST without a
certificate is refused and still leaves the domain federated, without a configuration to manage it by. Not verified:
the exact words of most refusals here.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from deploy.standins.graph import schema
from deploy.standins.graph.errors import (
    GraphError,
    bad_request,
    denied,
    invalid,
    not_found,
    not_here,
    read_only,
    required,
)
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.model import Application, Domain, new_guid
from deploy.standins.graph.tenant import Tenant
from shared.ids import Ids

RESOURCE = "InternalDomainFederation"
TYPE = "#microsoft.graph.internalDomainFederation"
REQUIRED = (
    "issuerUri",
    "passiveSignInUri",
    "preferredAuthenticationProtocol",
    "federatedIdpMfaBehavior",
)
"""What a POST must have; a certificate too, but its absence is punished (see above)."""
URIS = ("passiveSignInUri", "activeSignInUri", "metadataExchangeUri", "signOutUri", "passwordResetUri")
CERTIFICATES = ("signingCertificate", "nextSigningCertificate")
MIN_RSA_BITS = 2048
READ_ONLY = frozenset({"id", "signingCertificateUpdateStatus"})


def find(tenant: Tenant, name: str) -> Domain:
    """A domain by name. Raises GraphError 404."""
    found = tenant.domains.get(name.lower())
    if found is None:
        raise not_found(name)
    return found


def federation_of(domain: Domain, configuration_id: str | None = None) -> Json:
    """Its federation configuration. Raises GraphError 404 where there is none, or none of that id."""
    if domain.federation is None:
        raise not_found("federationConfiguration")
    if configuration_id is not None and domain.federation["id"] != configuration_id.lower():
        raise not_found(configuration_id)
    return domain.federation


def update(tenant: Tenant, domain: Domain, body: object) -> None:
    """PATCH /domains/{id}: makes it Managed, or the default domain. Raises GraphError."""
    given = schema.check_entity("domain", body)
    for name in given:
        if name not in ("authenticationType", "isDefault", "supportedServices", "@odata.type"):
            raise read_only(name)
    if "supportedServices" in given:
        raise not_here("how to set 'supportedServices'")
    if "authenticationType" in given and given["authenticationType"] not in ("Managed", "Federated"):
        raise invalid("authenticationType", "Domain")
    if given.get("authenticationType") == "Federated":
        raise bad_request(
            "Domain cannot be set to Federated. Use the federationConfiguration of the domain.",
            ("InvalidValue", "authenticationType"),
        )
    if given.get("authenticationType") == "Managed":
        _check_root(domain)
        if domain.federated and domain.federation is None:
            raise bad_request(
                "Domain federation settings are missing or damaged; the domain cannot be changed."
            )
        domain = replace(domain, federated=False, federation=None)
    if given.get("isDefault") is False and domain.default:
        raise bad_request("The default domain is changed by making another domain the default.")
    if given.get("isDefault") is True:
        if not domain.verified or tenant.federated(domain.id):
            raise bad_request("Only a verified, managed domain can be the default domain.")
        for other in list(tenant.domains.values()):
            tenant.domains[other.id] = replace(other, default=False)
        domain = replace(domain, default=True)
    tenant.domains[domain.id] = domain


def federate(
    tenant: Tenant, domain: Domain, body: object, caller: Application, *, issuers: Iterable[str], ids: Ids
) -> Json:
    """POST /domains/{id}/federationConfiguration. Raises GraphError; see above for what a refusal may leave.

    `issuers`: every issuerUri of every tenant.
    """
    given = schema.check_entity("internalDomainFederation", body)
    _check_caller(caller)
    _check_names(given)
    if domain.federated:
        raise bad_request("Domain already has Federation Configuration set.")
    if domain.initial:
        raise bad_request("The initial domain cannot be federated.")
    if not domain.verified:
        raise bad_request("Domain is not verified.")
    if domain.default:
        raise bad_request(
            "The default domain cannot be federated. Make another domain the default domain first."
        )
    _check_root(domain)
    for name in REQUIRED:
        if given.get(name) in (None, ""):
            raise required(name, RESOURCE)
    if not given.get("signingCertificate"):
        tenant.domains[domain.id] = replace(domain, federated=True, federation=None)
        raise required("signingCertificate", RESOURCE)
    _check_values(given)
    _check_issuer(given["issuerUri"], issuers)
    made = completed(given, ids)
    tenant.domains[domain.id] = replace(domain, federated=True, federation=made)
    return made


def completed(given: Json, ids: Ids) -> Json:
    """A new configuration: what was given, null for the rest, an id."""
    signed = bool(given.get("isSignedAuthenticationRequestRequired"))
    return {
        "@odata.type": TYPE,
        **dict.fromkeys(schema.properties("internalDomainFederation")),
        **given,
        "id": new_guid(ids),
        "isSignedAuthenticationRequestRequired": signed,
    }


def update_federation(
    tenant: Tenant,
    domain: Domain,
    configuration_id: str,
    body: object,
    caller: Application,
    *,
    issuers: Iterable[str],
) -> Json:
    """PATCH of the configuration. Raises GraphError."""
    given = schema.check_entity("internalDomainFederation", body)
    _check_caller(caller)
    was = federation_of(domain, configuration_id)
    _check_names(given)
    if not given:
        raise bad_request("Write requests (excluding DELETE) must contain a body with at least one property.")
    for name in (*REQUIRED, "signingCertificate"):
        if name in given and not given[name]:
            raise required(name, RESOURCE)  # federatedIdpMfaBehavior cannot be unset either
    _check_values(given)
    if "issuerUri" in given and given["issuerUri"] != was["issuerUri"]:
        _check_issuer(given["issuerUri"], issuers)
    changed = {**was, **given}
    tenant.domains[domain.id] = replace(domain, federation=changed)
    return changed


def unfederate(tenant: Tenant, domain: Domain, configuration_id: str, caller: Application) -> None:
    """DELETE of the configuration: the domain is Managed again."""
    _check_caller(caller)
    federation_of(domain, configuration_id)
    tenant.domains[domain.id] = replace(domain, federated=False, federation=None)


def lose_slashes(tenant: Tenant, name: str) -> None:
    """Keep the domain's URIs with `/` where `//` was sent: a PowerShell module was seen to do that on the way."""
    domain = find(tenant, name)
    kept = dict(domain.federation or {})
    for each in ("issuerUri", *URIS):
        if kept.get(each):
            kept[each] = kept[each].replace("//", "/")
    tenant.domains[domain.id] = replace(domain, federation=kept)


def _check_caller(caller: Application) -> None:
    if caller.federation_needs_role and not caller.directory_role:
        raise denied()


def _check_root(domain: Domain) -> None:
    if not domain.root:
        raise bad_request("A subdomain takes the authentication type of its root domain.")


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in READ_ONLY:
            raise read_only(name)


def _check_values(given: Mapping[str, Any]) -> None:
    for name in URIS:
        value = given.get(name)
        if value is not None and (
            urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).hostname
        ):
            raise invalid(name, RESOURCE)
    for name in CERTIFICATES:
        value = given.get(name)
        if value is not None and not _is_certificate(value):
            raise invalid(name, RESOURCE)


def _is_certificate(text: str) -> bool:
    """Base64 DER on one line without PEM armour, an RSA key of 2048 bits or more. NOT verified: dates, chain."""
    try:
        key = x509.load_der_x509_certificate(base64.b64decode(text, validate=True)).public_key()
    except (binascii.Error, ValueError):
        return False
    return isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS


def _check_issuer(issuer: str, issuers: Iterable[str]) -> None:
    """Unique in all of Entra; compared byte for byte."""
    if issuer in set(issuers):
        message = "Another domain already uses this issuerUri."
        raise GraphError(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            message,
            details=(("ObjectConflict", "issuerUri"),),
        )
