"""Users and domains as Graph shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deploy.standins.graph import schema
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.model import Domain, User
from deploy.standins.graph.tenant import Tenant

DEFAULT = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
"""What a user shows without $select: the rest is absent, not null."""


def moment(at: datetime) -> str:
    """UTC to the second with `Z`, as the directory writes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole(user: User) -> Json:
    """Every property that has a value."""
    name = user.upn if user.deleted is None else user.id.replace("-", "") + user.upn
    shown: Json = {
        **user.properties,
        "id": user.id,
        "userPrincipalName": name,
        "createdDateTime": moment(user.created),
        "assignedLicenses": [
            {"skuId": each.sku_id, "disabledPlans": list(each.disabled_plans)} for each in user.licences
        ],
        "licenseAssignmentStates": [
            {
                "skuId": each.sku_id,
                "disabledPlans": list(each.disabled_plans),
                "assignedByGroup": each.group,
                "state": "Active",
                "error": "None",
                "lastUpdatedDateTime": None,
            }
            for each in user.licences
        ],
    }
    if user.deleted is not None:
        shown["deletedDateTime"] = moment(user.deleted)
    return shown


def user(user: User, select: tuple[str, ...] | None) -> Json:
    """The selected properties, or the default ones; what has no value is null or an empty collection."""
    return selected(whole(user), select or DEFAULT, "user")


def selected(shown: Mapping[str, Any], names: tuple[str, ...], type_name: str) -> Json:
    """Those properties, with null or an empty collection for what has no value."""
    known = schema.properties(type_name)
    return {
        name: shown.get(name, [] if known[name]["type"].startswith("Collection(") else None) for name in names
    }


def domain(tenant: Tenant, domain: Domain) -> Json:
    """A `domain`."""
    return {
        "id": domain.id,
        "authenticationType": "Federated" if tenant.federated(domain.id) else "Managed",
        "availabilityStatus": None,
        "isAdminManaged": True,
        "isDefault": domain.default,
        "isInitial": domain.initial,
        "isRoot": domain.root,
        "isVerified": domain.verified,
        "manufacturer": None,
        "model": None,
        "passwordNotificationWindowInDays": None,
        "passwordValidityPeriodInDays": None,
        "state": None,
        "supportedServices": ["Email", "OfficeCommunicationsOnline"] if domain.verified else [],
    }
