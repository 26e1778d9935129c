"""Setting up: the tenants, their misbehaviour, and what is asked about them, as JSON forms. No I/O.

    {
      "tenants": [{
        "id": "11111111-...",                     optional GUID; one is drawn
        "displayName": "Contoso",
        "domains": [{"id": "contoso.onmicrosoft.com", "initial": true, "default": true},
                    {"id": "contoso.example", "federation": {...}}],     an internalDomainFederation, optional
        "applications": [{"clientId": "2222...", "secrets": [{"value": "s3cret", "expires": "2027-01-01T00:00:00Z"}],
                          "certificates": ["MIIC..."], "permissions": ["User.ReadWrite.All"]}],
        "skus": [{"skuPartNumber": "O365_BUSINESS", "skuId": "...", "enabled": 25}],
        "users": [{"userPrincipalName": "admin@contoso.onmicrosoft.com", "displayName": "Admin",
                   "roles": ["Global Administrator"]}]
      }],
      "settings": {"locationLag": 5, "federationPatchStatus": 200},
      "limits": {"writes": 3000, "units": 8000}
    }

Everything is optional but ids and names. The same form again adds, and replaces what has the same id: an application
by clientId, a domain by id, a subscription by skuId, a user by userPrincipalName. Users of a set-up may have any
property of Graph's schema (`onPremisesSyncEnabled`, a name that POST would refuse), `roles`, and `groupLicenses`
(skuIds that come from a group).
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from deploy.standins.graph import domains, schema, tokens, views
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.faults import Kind, Rule
from deploy.standins.graph.graph import Settings
from deploy.standins.graph.model import Application, Domain, Licence, Secret, Sku, User, new_guid
from deploy.standins.graph.standin import StandIn
from deploy.standins.graph.tenant import Tenant


class _Form(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class SecretForm(_Form):
    """A client secret; without `expires` it never ends."""

    value: str
    expires: datetime | None = None


class ApplicationForm(_Form):
    """An app registration with consent. `certificates`: base64 DER."""

    client_id: str
    name: str = "Application"
    secrets: tuple[SecretForm, ...] = ()
    certificates: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    enabled: bool = True
    directory_role: bool = False
    federation_needs_role: bool = False


class DomainForm(_Form):
    """A domain; with `federation` it is Federated."""

    id: str
    verified: bool = True
    initial: bool = False
    default: bool = False
    root: bool = True
    federation: dict[str, Any] | None = None


class PlanForm(_Form):
    """A service plan of a subscription."""

    service_plan_id: str
    service_plan_name: str


class SkuForm(_Form):
    """A subscription with that many units bought."""

    sku_part_number: str
    sku_id: str | None = None
    enabled: int = 25
    capability_status: Literal["Enabled", "Warning", "Suspended", "Deleted", "LockedOut"] = "Enabled"
    service_plans: tuple[PlanForm, ...] = ()


class TenantForm(_Form):
    """A tenant, or what to add to it."""

    id: str | None = None
    display_name: str = "Contoso"
    domains: tuple[DomainForm, ...] = ()
    applications: tuple[ApplicationForm, ...] = ()
    skus: tuple[SkuForm, ...] = ()
    users: tuple[dict[str, Any], ...] = ()


class SettingsForm(_Form):
    """Fields of `graph.Settings`; what is not said stays."""

    location_lag: float | None = None
    federation_patch_status: Literal[200, 204] | None = None
    revoke_status: Literal[200, 202, 204] | None = None
    delta_page: int | None = Field(default=None, ge=1)


class LimitsForm(_Form):
    """Limits of throttling: writes in 150 s, resource units in 10 s."""

    writes: int | None = Field(default=None, ge=1)
    units: int | None = Field(default=None, ge=1)


class SetUp(_Form):
    """All of it."""

    tenants: tuple[TenantForm, ...] = ()
    settings: SettingsForm = SettingsForm()
    limits: LimitsForm = LimitsForm()


USUAL_SECONDS = {Kind.NOT_FOUND_AFTER_CREATE: 90.0, Kind.SLOW: 5.0}
"""Seconds of a rule that does not say how many."""


class FaultForm(_Form):
    """A rule of misbehaviour (`faults.Rule`)."""

    kind: Kind
    method: str = "*"
    path: str = "*"
    times: int | None = Field(default=None, ge=0)
    skip: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, ge=0)
    share: float = Field(default=1.0, ge=0, le=1)

    def rule(self) -> Rule:
        """With the time that a kind has where none was given."""
        given = self.model_dump(exclude_none=True)
        return Rule(**{"seconds": USUAL_SECONDS.get(self.kind, 0.0), **given})


def set_up(standin: StandIn, form: SetUp) -> list[str]:
    """Carry it out; gives the ids of the tenants that were named. Raises ValueError, with nothing half done in a
    tenant that was refused as a whole only where its forms are wrong.
    """
    named = []
    for each in form.tenants:
        tenant = _tenant(standin, each)
        standin.tenants[tenant.id] = tenant
        named.append(tenant.id)
    chosen = form.settings.model_dump(exclude_none=True)
    standin.settings = Settings(**{**asdict(standin.settings), **chosen})
    standin.throttle.writes = form.limits.writes or standin.throttle.writes
    standin.throttle.units = form.limits.units or standin.throttle.units
    return named


def _tenant(standin: StandIn, form: TenantForm) -> Tenant:
    if form.id is not None and not schema.is_guid(form.id):
        raise ValueError(f"tenant id {form.id!r} is no GUID")
    tenant_id = (form.id or new_guid(standin.ids)).lower()
    tenant = standin.tenants.get(tenant_id) or Tenant(tenant_id, form.display_name)
    for domain in form.domains:
        others = (each for each in standin.tenants.values() if each is not tenant)
        if any(domain.id.lower() in each.domains for each in others):
            raise ValueError(f"domain {domain.id} belongs to another tenant")
        tenant.domains[domain.id.lower()] = _domain(standin, domain)
    for application in form.applications:
        tenant.applications[application.client_id.lower()] = _application(application)
    for sku in form.skus:
        made = _sku(standin, sku)
        tenant.skus[made.sku_id] = made
    for user in form.users:
        _put_user(standin, tenant, dict(user))
    return tenant


def _domain(standin: StandIn, form: DomainForm) -> Domain:
    federation: Json | None = None
    if form.federation is not None:
        given = schema.check_entity("internalDomainFederation", form.federation)
        federation = domains.completed(given, standin.ids)
    return Domain(
        id=form.id.lower(),
        verified=form.verified,
        initial=form.initial,
        default=form.default,
        root=form.root,
        federated=federation is not None,
        federation=federation,
    )


def _application(form: ApplicationForm) -> Application:
    return Application(
        client_id=form.client_id.lower(),
        name=form.name,
        secrets=tuple(Secret(each.value, each.expires) for each in form.secrets),
        certificates=tuple(tokens.certificate(each) for each in form.certificates),
        permissions=frozenset(form.permissions),
        enabled=form.enabled,
        directory_role=form.directory_role,
        federation_needs_role=form.federation_needs_role,
    )


def _sku(standin: StandIn, form: SkuForm) -> Sku:
    return Sku(
        id=new_guid(standin.ids),
        sku_id=(form.sku_id or new_guid(standin.ids)).lower(),
        part_number=form.sku_part_number,
        enabled=form.enabled,
        capability_status=form.capability_status,
        plans=tuple((each.service_plan_id.lower(), each.service_plan_name) for each in form.service_plans),
    )


def _put_user(standin: StandIn, tenant: Tenant, given: Json) -> None:
    """A user as it is, past the rules for callers."""
    roles = tuple(given.pop("roles", ()))
    inherited = tuple(Licence(sku, group=new_guid(standin.ids)) for sku in given.pop("groupLicenses", ()))
    user_id = given.pop("id", None)
    own = tuple(
        Licence(each["skuId"], tuple(each.get("disabledPlans", ())))
        for each in given.pop("assignedLicenses", ())
    )
    properties = schema.check_entity("user", given)
    upn = properties["userPrincipalName"]
    now = standin.clock.now()
    was = tenant.user_by_upn(upn)
    if was is None:
        was = User(
            id=(user_id or new_guid(standin.ids)).lower(),
            number=tenant.next_number(),
            properties={"accountEnabled": True, "userType": "Member"},
            created=now,
        )
    tenant.put(
        replace(
            was,
            properties={**was.properties, **properties},
            roles=roles or was.roles,
            licences=(*inherited, *own) or was.licences,
        )
    )


class FederateForm(_Form):
    """What an administrator does to a domain: federates it with an `internalDomainFederation`, or makes it managed."""

    domain: str
    federation: dict[str, Any] | None


_ADMINISTRATOR = Application(client_id="administrator", directory_role=True)


def federate(standin: StandIn, form: FederateForm) -> None:
    """Carry it out by the rules for callers, but those of permissions. Raises ValueError, GraphError."""
    name = form.domain.lower()
    tenant = next((each for each in standin.tenants.values() if name in each.domains), None)
    if tenant is None:
        raise ValueError(f"no tenant has the domain {name}")
    domain = tenant.domains[name]
    if form.federation is None:
        if domain.federation is not None:
            domains.unfederate(tenant, domain, domain.federation["id"], _ADMINISTRATOR)
        return
    if domain.federation is None:
        domains.federate(
            tenant, domain, form.federation, _ADMINISTRATOR, issuers=standin.issuers(), ids=standin.ids
        )
        return
    domains.update_federation(
        tenant,
        domain,
        domain.federation["id"],
        form.federation,
        _ADMINISTRATOR,
        issuers=standin.issuers(),
    )


def add_fault(standin: StandIn, form: FaultForm) -> None:
    """From now on requests go wrong by this rule too."""
    standin.faults.add(form.rule())


def state(standin: StandIn) -> Json:
    """How it stands: the clock, the rules with their hits, numbers for each tenant."""
    return {
        "now": standin.clock.now().isoformat(),
        "requests": standin.record.count,
        "early": standin.early,
        "throttled": standin.throttled,
        "faults": [
            {**asdict(each.rule), "matched": each.matched, "hit": each.hit} for each in standin.faults.active
        ],
        "tenants": [
            {
                "id": tenant.id,
                "displayName": tenant.name,
                "domains": list(tenant.domains),
                "users": tenant.size,
                "deletedUsers": sum(1 for _ in tenant.deleted_users()),
            }
            for tenant in standin.tenants.values()
        ],
    }


def users(tenant: Tenant) -> Json:
    """Every user of a tenant with every property, living and deleted, in the order of creation."""

    def shown(each: User) -> Mapping[str, Any]:
        return {**views.whole(each), "roles": list(each.roles)}

    return {
        "users": [shown(each) for each in sorted(tenant.users(), key=lambda user: user.number)],
        "deleted": [shown(each) for each in sorted(tenant.deleted_users(), key=lambda user: user.number)],
    }
