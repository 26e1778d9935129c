"""What a tenant holds: frozen records, replaced when they change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.standins.graph.exchange import Json
from shared.ids import Ids

SOFT_DELETED_DAYS = 30
"""How long a deleted user can be restored."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret. `expires` None: never."""

    value: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An app registration with its consent in this tenant."""

    client_id: str
    name: str = "Application"
    secrets: tuple[Secret, ...] = ()
    certificates: tuple[bytes, ...] = ()
    """DER octets of the certificates that may sign a client assertion."""
    permissions: frozenset[str] = frozenset()
    """Application permissions with admin consent: the token's `roles`."""
    enabled: bool = True
    directory_role: bool = False
    """It holds a directory role itself: may change administrators and federation whatever their state."""
    federation_needs_role: bool = False
    """Writes to a federation configuration are refused in spite of the permission, as tenants were seen to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """A subscription. `enabled` is the number of units bought."""

    id: str
    sku_id: str
    part_number: str
    enabled: int
    capability_status: str = "Enabled"
    plans: tuple[tuple[str, str], ...] = ()
    """(servicePlanId, servicePlanName)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain of the tenant; `id` is its name in lower case."""

    id: str
    verified: bool = True
    initial: bool = False
    default: bool = False
    root: bool = True
    """False: a sub-domain, federated exactly when its parent is."""
    federated: bool = False
    federation: Json | None = None
    """The `internalDomainFederation`. None in a federated domain: what a POST without a certificate leaves behind."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence of a user. `group`: inherited from a group, cannot be removed from the user."""

    sku_id: str
    disabled_plans: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user, deleted or not. `properties` has what was set, by Graph's names, without licences and id."""

    id: str
    number: int
    """Order of creation."""
    properties: Mapping[str, Any]
    created: datetime
    licences: tuple[Licence, ...] = ()
    roles: tuple[str, ...] = ()
    """Names of the directory roles that it holds."""
    deleted: datetime | None = None
    changed: int = 0
    """Number of the tenant's change that touched it last (delta)."""
    located: datetime | None = None
    """When usageLocation was set last: licences follow only some seconds later."""
    hidden_until: datetime | None = None
    """Until then a reader may meet a replica that does not know it yet."""
    hidden_share: float = 0.0
    """The part of those replicas among all, 0 to 1."""

    @property
    def upn(self) -> str:
        return str(self.properties["userPrincipalName"])

    @property
    def immutable_id(self) -> str | None:
        value = self.properties.get("onPremisesImmutableId")
        return str(value) if value is not None else None

    @property
    def synced(self) -> bool:
        return self.properties.get("onPremisesSyncEnabled") is True


def new_guid(ids: Ids) -> str:
    """A random GUID (RFC 9562, version 4), lower case."""
    octets = bytearray(ids.random_bytes(16))
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def domain_of(upn: str) -> str:
    """The part after the last `@`, in lower case; empty where there is none."""
    return upn.rpartition("@")[2].lower() if "@" in upn else ""
