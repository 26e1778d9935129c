"""What Entra has been told: the federated domains' settings and the directory's users.

The settings are JSON in this form (all texts; a domain is Graph's `internalDomainFederation` plus
`domain`, `tenant` and `previousSigningCertificate`; unknown fields are refused):

    {
      "domains": [{
        "domain": "contoso.example",                    the federated root domain, lower case
        "tenant": "contoso",                            optional; keeps several directories apart
        "displayName": "Contoso",                       optional, not used
        "issuerUri": "https://idp.example/t/contoso",   compared byte for byte, unique over all domains
        "passiveSignInUri": "https://idp.example/...",  where /start sends the browser
        "signOutUri": "https://idp.example/...",        optional
        "activeSignInUri": "...",                       optional, not used
        "metadataExchangeUri": "...",                   optional, not used
        "signingCertificate": "MIIC...",                base64 DER on one line, RSA of 2048 bits or more
        "nextSigningCertificate": "MIIC...",            optional
        "previousSigningCertificate": "MIIC...",        optional: Entra remembers the one before a roll-over
        "preferredAuthenticationProtocol": "wsFed",     optional
        "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",   or enforceMfaBy..., rejectMfaBy...
        "promptLoginBehavior": "nativeSupport"          optional; or translateTo..., disabled
      }],
      "managedDomains": [{                              optional: domains that a script may federate
        "domain": "labs.example", "tenant": "contoso",  as above
        "isVerified": true, "isRoot": true, "isDefault": false, "isInitial": false   optional, as in Graph
      }],
      "users": [{
        "immutable_id": "q83vEjRWeJA=", "upn": "ada@contoso.example",
        "tenant": "contoso",                            optional, as above
        "enabled": true                                 optional
      }]
    }
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

MIN_RSA_BITS = 2048
MAX_IMMUTABLE_ID = 64
ANSWER_WITHIN = 5.0
"""Seconds that an address of settings gets for its answer."""


class SettingsError(Exception):
    """The settings can't be read or say something impossible."""


def parse_certificate(text: str) -> tuple[bytes, RSAPublicKey]:
    """The DER octets and key of a certificate given as Graph wants it: base64 on one line, no PEM armour.

    Raises ValueError. NOT verified: validity dates, chain, purposes; for Entra it is only a key's envelope.
    """
    try:
        der = base64.b64decode(text, validate=True)
        key = x509.load_der_x509_certificate(der).public_key()
    except (binascii.Error, ValueError) as error:
        raise ValueError("a certificate must be base64 DER on one line without PEM armour") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise ValueError(f"a certificate must hold an RSA key of {MIN_RSA_BITS} bits or more")
    return der, key


class FederationSettings(BaseModel):
    """One federated domain as Entra knows it (Graph `internalDomainFederation`)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    domain: str
    tenant: str = ""
    display_name: str = ""
    issuer_uri: str
    passive_sign_in_uri: str
    sign_out_uri: str | None = None
    active_sign_in_uri: str | None = None
    metadata_exchange_uri: str | None = None
    signing_certificate: str
    next_signing_certificate: str | None = None
    previous_signing_certificate: str | None = None
    preferred_authentication_protocol: Literal["wsFed"] = "wsFed"
    federated_idp_mfa_behavior: Literal[
        "acceptIfMfaDoneByFederatedIdp", "enforceMfaByFederatedIdp", "rejectMfaByFederatedIdp"
    ]
    prompt_login_behavior: Literal["translateToFreshPasswordAuthentication", "nativeSupport", "disabled"] = (
        "nativeSupport"
    )

    @field_validator("domain")
    @classmethod
    def _lower_case(cls, value: str) -> str:
        if value != value.lower() or not value or value.startswith("."):
            raise ValueError("a domain is written in lower case")
        return value

    @field_validator("signing_certificate", "next_signing_certificate", "previous_signing_certificate")
    @classmethod
    def _is_certificate(cls, value: str | None) -> str | None:
        if value is not None:
            parse_certificate(value)
        return value

    def registered_keys(self) -> dict[bytes, tuple[str, RSAPublicKey]]:
        """The keys that may sign for this domain: certificate DER -> (`current`|`next`|`previous`, key)."""
        keys: dict[bytes, tuple[str, RSAPublicKey]] = {}
        for name, text in (
            ("current", self.signing_certificate),
            ("next", self.next_signing_certificate),
            ("previous", self.previous_signing_certificate),
        ):
            if text is not None:
                der, key = parse_certificate(text)
                keys.setdefault(der, (name, key))
        return keys


class User(BaseModel):
    """A directory user. `immutable_id` is what Graph calls onPremisesImmutableId (at most 64 characters)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    immutable_id: str
    upn: str
    tenant: str = ""
    enabled: bool = True

    @field_validator("immutable_id")
    @classmethod
    def _fits(cls, value: str) -> str:
        if not 0 < len(value) <= MAX_IMMUTABLE_ID:
            raise ValueError(f"an ImmutableID has 1 to {MAX_IMMUTABLE_ID} characters")
        return value


def domain_of(upn: str) -> str:
    """The part after the one `@`, in lower case; empty where there is no such part."""
    name, at, domain = upn.partition("@")
    return domain.lower() if name and at and "@" not in domain else ""


class ManagedDomain(BaseModel):
    """A domain that is not federated from the start, as Entra knows it (Graph `domain`)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    domain: str = Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    tenant: str = ""
    is_verified: bool = True
    is_root: bool = True
    is_default: bool = False
    is_initial: bool = False


@dataclass(frozen=True)
class Federations:
    """All federated domains, of all tenants: Entra is one place, and issuers are unique in it.

    `managed`: the domains that scripts may federate, also while they are.
    """

    by_domain: dict[str, FederationSettings] = field(default_factory=dict)
    by_issuer: dict[str, FederationSettings] = field(default_factory=dict)
    managed: dict[str, ManagedDomain] = field(default_factory=dict)

    @classmethod
    def of(cls, *domains: FederationSettings, managed: Iterable[ManagedDomain] = ()) -> Self:
        """Index them. Raises ValueError when a domain or an issuerUri appears twice."""
        by_domain = {each.domain: each for each in domains}
        by_issuer = {each.issuer_uri: each for each in domains}
        by_managed = {each.domain: each for each in managed}
        if len(by_domain) != len(domains) or len(by_issuer) != len(domains) or by_domain.keys() & by_managed:
            raise ValueError("domain and issuerUri must be unique over all domains")
        return cls(by_domain, by_issuer, by_managed)

    def for_domain(self, name: str) -> FederationSettings | None:
        """The settings that rule this domain: its own, otherwise those of the nearest parent domain."""
        labels = name.lower().split(".")
        for start in range(len(labels)):
            found = self.by_domain.get(".".join(labels[start:]))
            if found is not None:
                return found
        return None


@dataclass(frozen=True)
class Directory:
    """The users, by tenant and ImmutableID."""

    by_id: dict[tuple[str, str], User] = field(default_factory=dict)

    @classmethod
    def of(cls, *users: User) -> Self:
        """Index them. Raises ValueError when a tenant has an ImmutableID twice."""
        by_id = {(each.tenant, each.immutable_id): each for each in users}
        if len(by_id) != len(users):
            raise ValueError("an ImmutableID must be unique in its tenant")
        return cls(by_id)

    def find(self, tenant: str, immutable_id: str) -> User | None:
        """Exact match, case counts."""
        return self.by_id.get((tenant, immutable_id))


class Settings(BaseModel):
    """All settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    domains: tuple[FederationSettings, ...]
    managed_domains: tuple[ManagedDomain, ...] = Field(default=(), alias="managedDomains")
    users: tuple[User, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        Federations.of(*self.domains, managed=self.managed_domains)
        Directory.of(*self.users)
        return self


class SettingsFile:
    """Reads the file again whenever it has changed, so roll-overs and new users need no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._current = (Federations(), Directory())

    async def current(self) -> tuple[Federations, Directory]:
        """What the file says now. Raises SettingsError (and goes on refusing until the file is right)."""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._current = parsed(self._path.read_bytes())
                self._seen = seen
        except (OSError, ValidationError, ValueError) as error:
            self._seen = None
            raise SettingsError(f"{self._path.name}: {error}") from error
        return self._current


class SettingsAddress:
    """Asks an address for the settings each time that they are needed: nobody has to tell it of a change.

    `takes_scripts`: what a script changes is told to the same address by POST, as `{"domain", "federation"}` with null
    for a domain that is managed again. So scripts may change each of its domains, the federated ones too. Otherwise
    they may change what is told to be managed, and the stand-in keeps that itself, as it does beside a file.
    """

    def __init__(self, url: str, *, takes_scripts: bool = True) -> None:
        self._url = url
        self.takes_scripts = takes_scripts

    async def current(self) -> tuple[Federations, Directory]:
        """What the address answers now. Raises SettingsError."""
        try:
            told, directory = parsed(await self._ask("GET"))
        except (ValidationError, ValueError) as error:
            raise SettingsError(f"{self._url}: {error}") from error
        if not self.takes_scripts:
            return told, directory
        federated = {
            each.domain: ManagedDomain(domain=each.domain, tenant=each.tenant)
            for each in told.by_domain.values()
        }
        return replace(told, managed={**told.managed, **federated}), directory

    async def tell(self, domain: str, federation: FederationSettings | None) -> None:
        """Make the domain federated with those settings, or managed. Raises SettingsError when that is refused."""
        said = None
        if federation is not None:
            of_us = {"domain", "tenant", "previous_signing_certificate"}
            said = federation.model_dump(mode="json", by_alias=True, exclude=of_us, exclude_none=True)
        await self._ask("POST", {"domain": domain, "federation": said})

    async def _ask(self, method: str, body: object = None) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.request(method, self._url, json=body) as answer,
            ):
                answer.raise_for_status()
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SettingsError(f"{self._url}: {error or type(error).__name__}") from error


def parsed(octets: bytes) -> tuple[Federations, Directory]:
    """The settings in that JSON. Raises ValueError, ValidationError."""
    settings = Settings.model_validate(json.loads(octets))
    federations = Federations.of(*settings.domains, managed=settings.managed_domains)
    return federations, Directory.of(*settings.users)
