"""Subscriptions, units and assignLicense."""

import pytest

from tests.standins.graph.directory import BUSINESS, ENTERPRISE, PLAN, TENANT, Directory

BAD = "Request_BadRequest"
NOBODYS = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def directory() -> Directory:
    return Directory()


def change(*add: str, remove: tuple[str, ...] = ()) -> dict[str, object]:
    return {"addLicenses": [{"skuId": each} for each in add], "removeLicenses": list(remove)}


def consumed(directory: Directory, sku_id: str = BUSINESS) -> int:
    skus = directory.good(200, "GET", "/subscribedSkus")["value"]
    return int(next(each["consumedUnits"] for each in skus if each["skuId"] == sku_id))


def test_subscriptions_say_what_is_left(directory: Directory) -> None:
    business, enterprise = directory.good(200, "GET", "/subscribedSkus")["value"]
    assert business["prepaidUnits"] == {"enabled": 2, "lockedOut": 0, "suspended": 0, "warning": 0}
    assert (business["capabilityStatus"], business["consumedUnits"]) == ("Enabled", 0)
    assert enterprise["prepaidUnits"]["enabled"] == 0
    assert directory.good(200, "GET", f"/subscribedSkus/{TENANT}_{BUSINESS}")["skuId"] == BUSINESS
    assert directory.send("GET", "/subscribedSkus?$filter=skuId%20eq%20'x'").status == 501


def test_a_licence_is_given_and_taken(directory: Directory) -> None:
    user_id = directory.create(usageLocation="FR")
    body = {"addLicenses": [{"skuId": BUSINESS, "disabledPlans": [PLAN]}], "removeLicenses": []}
    directory.good(200, "POST", f"/users/{user_id}/assignLicense", body)
    shown = directory.good(200, "GET", f"/users/{user_id}?$select=assignedLicenses")
    assert shown["assignedLicenses"] == [{"skuId": BUSINESS, "disabledPlans": [PLAN]}]
    assert consumed(directory) == 1
    directory.good(200, "POST", f"/users/{user_id}/assignLicense", body)
    assert consumed(directory) == 1
    directory.good(200, "POST", f"/users/{user_id}/assignLicense", change(remove=(BUSINESS,)))
    assert consumed(directory) == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"addLicenses": []},
            "One or more parameters of the operation 'assignLicense' are missing from the request payload. The "
            "missing parameters are: removeLicenses.",
        ),
        (change(NOBODYS), f"License {NOBODYS} does not correspond to a valid company License."),
        (change(ENTERPRISE), f"License {ENTERPRISE} does not correspond to a valid company License."),
        (change(remove=(BUSINESS,)), "User does not have a corresponding license."),
        (
            change(remove=("x",)),
            "Cannot convert the literal 'x' to the expected type 'Edm.Guid'.",
        ),
    ],
)
def test_refusals(directory: Directory, body: object, message: str) -> None:
    user_id = directory.create(usageLocation="FR")
    assert directory.refused(400, BAD, "POST", f"/users/{user_id}/assignLicense", body) == message
    assert consumed(directory) == 0


def test_the_usage_location_comes_first_and_needs_a_moment(directory: Directory) -> None:
    user_id = directory.create()
    path, wrong = (
        f"/users/{user_id}/assignLicense",
        "License assignment cannot be done for user with invalid usage location.",
    )
    assert directory.refused(400, BAD, "POST", path, change(BUSINESS)) == wrong
    directory.settings(locationLag=5)
    directory.good(204, "PATCH", f"/users/{user_id}", {"usageLocation": "FR"})
    assert directory.refused(400, BAD, "POST", path, change(BUSINESS)) == wrong
    directory.clock.advance(5)
    directory.good(200, "POST", path, change(BUSINESS))


def test_units_run_out_and_come_back_with_a_deleted_user(directory: Directory) -> None:
    ids = [directory.create(name, usageLocation="FR") for name in ("ada", "bob", "eve")]
    for user_id in ids[:2]:
        directory.good(200, "POST", f"/users/{user_id}/assignLicense", change(BUSINESS))
    path = f"/users/{ids[2]}/assignLicense"
    message = directory.refused(400, BAD, "POST", path, change(BUSINESS))
    assert message == f"Subscription with SKU {BUSINESS} does not have any available licenses."
    directory.good(204, "DELETE", f"/users/{ids[0]}")
    assert consumed(directory) == 1
    directory.good(200, "POST", path, change(BUSINESS))


def test_a_licence_of_a_group_cannot_be_taken_from_the_user(directory: Directory) -> None:
    user_id = directory.add_user(userPrincipalName="ada@contoso.example", groupLicenses=[BUSINESS])
    message = directory.refused(
        400, BAD, "POST", f"/users/{user_id}/assignLicense", change(remove=(BUSINESS,))
    )
    assert "inherited from a group membership" in message
    (state,) = directory.good(200, "GET", f"/users/{user_id}?$select=licenseAssignmentStates")[
        "licenseAssignmentStates"
    ]
    assert state["assignedByGroup"] is not None
    (details,) = directory.good(200, "GET", f"/users/{user_id}/licenseDetails")["value"]
    assert details["skuPartNumber"] == "O365_BUSINESS_PREMIUM"


def test_without_the_permission_for_subscriptions() -> None:
    directory = Directory(permissions=["User.ReadWrite.All"])
    directory.refused(403, "Authorization_RequestDenied", "GET", "/subscribedSkus")
