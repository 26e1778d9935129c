"""Licences: subscriptions, their units, and who holds them.

Not verified: the words for a licence in both lists and for a service plan that the licence has not.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from deploy.standins.graph import schema
from deploy.standins.graph.errors import bad_request, not_found
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.model import Licence, Sku, User
from deploy.standins.graph.tenant import Tenant


def assign(tenant: Tenant, user: User, body: object, *, now: datetime, location_lag: float) -> User:
    """POST /users/{id}/assignLicense. Raises GraphError.

    `location_lag`: seconds after setting usageLocation in which licences do not see it yet.
    """
    given = schema.check_action("assignLicense", body)
    removed = [each.lower() for each in given["removeLicenses"]]
    added = [_licence(tenant, each) for each in given["addLicenses"]]
    if {each.sku_id for each in added} & set(removed):
        raise bad_request("License assignment failed because a license is in both lists.")
    for sku_id in removed:
        _check_removable(tenant, user, sku_id)
    if added:
        _check_location(user, now, location_lag)
    own = {each.sku_id: each for each in user.licences if each.group is None and each.sku_id not in removed}
    for each in added:
        held = any(was.sku_id == each.sku_id for was in user.licences)
        if not held and tenant.consumed(each.sku_id) >= tenant.skus[each.sku_id].enabled:
            raise bad_request(f"Subscription with SKU {each.sku_id} does not have any available licenses.")
        own[each.sku_id] = each
    inherited = [each for each in user.licences if each.group is not None]
    return tenant.put(replace(user, licences=(*inherited, *own.values())))


def _licence(tenant: Tenant, given: Json) -> Licence:
    sku = tenant.skus.get(str(given.get("skuId")).lower())
    if sku is None or sku.capability_status not in ("Enabled", "Warning"):
        raise bad_request(f"License {given.get('skuId')} does not correspond to a valid company License.")
    disabled = tuple(each.lower() for each in given.get("disabledPlans", ()))
    unknown = set(disabled) - {plan for plan, _ in sku.plans}
    if unknown:
        raise bad_request(f"Service plans {', '.join(sorted(unknown))} are not part of license {sku.sku_id}.")
    return Licence(sku.sku_id, disabled)


def _check_removable(tenant: Tenant, user: User, sku_id: str) -> None:
    if sku_id not in tenant.skus:
        raise bad_request(f"License {sku_id} does not correspond to a valid company License.")
    held = [each for each in user.licences if each.sku_id == sku_id]
    if not held:
        raise bad_request("User does not have a corresponding license.")
    if all(each.group is not None for each in held):
        raise bad_request(
            "User license is inherited from a group membership and it cannot be removed directly from the user."
        )


def _check_location(user: User, now: datetime, lag: float) -> None:
    late = user.located is not None and (now - user.located).total_seconds() < lag
    if user.properties.get("usageLocation") is None or late:
        raise bad_request("License assignment cannot be done for user with invalid usage location.")


def view(tenant: Tenant, sku: Sku) -> Json:
    """A `subscribedSku`."""
    enabled = sku.capability_status == "Enabled"
    return {
        "id": f"{tenant.id}_{sku.sku_id}",
        "accountId": tenant.id,
        "accountName": tenant.name,
        "appliesTo": "User",
        "capabilityStatus": sku.capability_status,
        "consumedUnits": tenant.consumed(sku.sku_id),
        "prepaidUnits": {
            "enabled": sku.enabled if enabled else 0,
            "lockedOut": 0,
            "suspended": sku.enabled if sku.capability_status == "Suspended" else 0,
            "warning": sku.enabled if sku.capability_status == "Warning" else 0,
        },
        "servicePlans": _plans(sku),
        "skuId": sku.sku_id,
        "skuPartNumber": sku.part_number,
        "subscriptionIds": [sku.id],
    }


def find(tenant: Tenant, key: str) -> Sku:
    """A subscription by `{tenant}_{skuId}`. Raises GraphError 404."""
    found = tenant.skus.get(key.lower().removeprefix(f"{tenant.id}_"))
    if found is None:
        raise not_found(key)
    return found


def details(tenant: Tenant, user: User) -> Iterable[Json]:
    """The `licenseDetails` of a user."""
    for licence in user.licences:
        sku = tenant.skus[licence.sku_id]
        yield {
            "id": sku.id,
            "skuId": sku.sku_id,
            "skuPartNumber": sku.part_number,
            "servicePlans": _plans(sku),
        }


def _plans(sku: Sku) -> list[Json]:
    return [
        {
            "servicePlanId": plan,
            "servicePlanName": name,
            "provisioningStatus": "Success",
            "appliesTo": "User",
        }
        for plan, name in sku.plans
    ]
