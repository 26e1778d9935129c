"""Users: what POST, PATCH, GET and DELETE take and refuse."""

from typing import Any

import pytest

from tests.standins.graph.directory import Directory, key, person

BAD = "Request_BadRequest"


@pytest.fixture
def directory() -> Directory:
    return Directory()


def test_a_new_user_shows_the_default_properties_only(directory: Directory) -> None:
    made = directory.good(201, "POST", "/users", person())
    assert made["userPrincipalName"] == "ada@contoso.example"
    assert made["businessPhones"] == []
    assert made["mail"] is None
    assert "onPremisesImmutableId" not in made
    assert "accountEnabled" not in made


def test_select_shows_what_was_set_and_null_for_the_rest(directory: Directory) -> None:
    user_id = directory.create()
    shown = directory.good(
        200, "GET", f"/users/{user_id}?$select=id,onPremisesImmutableId,usageLocation,passwordProfile"
    )
    assert {name: value for name, value in shown.items() if not name.startswith("@")} == {
        "id": user_id,
        "onPremisesImmutableId": "id-ada",
        "usageLocation": None,
        "passwordProfile": None,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accountEnabled": None}, "A value is required for property 'accountEnabled' of resource 'User'."),
        ({"displayName": None}, "A value is required for property 'displayName' of resource 'User'."),
        ({"displayName": ""}, "Invalid value specified for property 'displayName' of resource 'User'."),
        ({"displayName": "x" * 257}, "Invalid value specified for property 'displayName' of resource 'User'."),
        ({"mailNickname": "a b"}, "Invalid value specified for property 'mailNickname' of resource 'User'."),
        ({"mailNickname": "a@b"}, "Invalid value specified for property 'mailNickname' of resource 'User'."),
        ({"mailNickname": "x" * 65}, "Invalid value specified for property 'mailNickname' of resource 'User'."),
        ({"passwordProfile": None}, "A password must be specified to create a new user."),
        ({"passwordProfile": {}}, "A password must be specified to create a new user."),
        (
            {"passwordProfile": {"password": "alllowercase"}},
            "The specified password does not comply with password complexity requirements. Please provide a "
            "different password.",
        ),
        ({"usageLocation": "XX"}, "Invalid value specified for property 'usageLocation' of resource 'User'."),
        ({"usageLocation": "fr"}, "Invalid value specified for property 'usageLocation' of resource 'User'."),
        ({"otherMails": ["nobody"]}, "Invalid value specified for property 'otherMails' of resource 'User'."),
        ({"id": "1"}, "Property 'id' is read-only and cannot be set."),
        ({"assignedLicenses": []}, "Property 'assignedLicenses' is read-only and cannot be set."),
        ({"accountEnabled": "yes"}, "Cannot convert the literal 'yes' to the expected type 'Edm.Boolean'."),
        ({"businessPhones": None}, "A null value was found for the property named 'businessPhones', which has "
         "the expected type 'Collection(Edm.String)[Nullable=False]'. The expected type "
         "'Collection(Edm.String)[Nullable=False]' does not allow null values."),
        ({"onPremisesImmutableId": None}, "SourceAnchor is a required property for creation of a federated user."),
    ],
)  # fmt: skip
def test_refuses_a_body_in_graphs_words(directory: Directory, changed: dict[str, Any], message: str) -> None:
    assert directory.refused(400, BAD, "POST", "/users", person(**changed)) == message
    assert directory.tenant.size == 0


@pytest.mark.parametrize("anchor", ["a_b", "a$b", "é", "x" * 65])
def test_the_immutable_id_is_64_characters_without_dollar_and_underline(
    directory: Directory, anchor: str
) -> None:
    message = directory.refused(400, BAD, "POST", "/users", person(onPremisesImmutableId=anchor))
    assert message == "Invalid value specified for property 'onPremisesImmutableId' of resource 'User'."
    directory.create(onPremisesImmutableId="+/=" + "x" * 61)


def test_refuses_a_property_that_is_not_in_the_schema(directory: Directory) -> None:
    message = directory.refused(400, BAD, "POST", "/users", person(favouriteColour="blue"))
    assert "'favouriteColour' does not exist on type 'microsoft.graph.user'" in message
    nested = person(passwordProfile={"password": "Correct-Horse-7", "hint": "x"})
    assert "'hint'" in directory.refused(400, BAD, "POST", "/users", nested)


@pytest.mark.parametrize("name", ["o'hara", "a#b", "a.b-c_d!e^f~g", "x" * 64, "ada-lovelace"])
def test_takes_every_character_that_a_name_may_have(directory: Directory, name: str) -> None:
    user_id = directory.create(name, onPremisesImmutableId="1")
    assert directory.good(200, "GET", f"/users{key(f'{name}@contoso.example')}")["id"] == user_id


@pytest.mark.parametrize(
    "upn",
    ["$ada@contoso.example", "a b@contoso.example", "a+b@contoso.example", "é@contoso.example", "@contoso.example",
     ".a@contoso.example", "a.@contoso.example", "a@b@contoso.example", "x" * 65 + "@contoso.example"],
)  # fmt: skip
def test_refuses_other_names(directory: Directory, upn: str) -> None:
    body = person(userPrincipalName=upn)
    assert directory.refused(400, BAD, "POST", "/users", body) == "Property userPrincipalName is invalid."


def test_a_name_has_at_most_113_characters(directory: Directory) -> None:
    long, longer = (f"{'d' * count}.example" for count in (40, 41))
    tenant = directory.tenant
    directory.set_up({"tenants": [{"id": tenant.id, "domains": [{"id": long}, {"id": longer}]}]})
    assert len(f"{'x' * 64}@{long}") == 113
    directory.create("x" * 64, long, onPremisesImmutableId="one")
    body = person("x" * 64, longer, onPremisesImmutableId="other")
    assert directory.refused(400, BAD, "POST", "/users", body) == "Property userPrincipalName is invalid."


@pytest.mark.parametrize("domain", ["elsewhere.example", "unverified.example", "other.contoso.example"])
def test_the_domain_must_be_a_verified_one(directory: Directory, domain: str) -> None:
    message = directory.refused(400, BAD, "POST", "/users", person("ada", domain))
    assert message == (
        "The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain "
        "names in your organization."
    )


def test_a_managed_domain_needs_no_immutable_id(directory: Directory) -> None:
    directory.create("ada", "plain.example", onPremisesImmutableId=None)
    anchor = person("bob", "sub.contoso.example", onPremisesImmutableId=None)
    assert "SourceAnchor" in directory.refused(400, BAD, "POST", "/users", anchor)


@pytest.mark.parametrize(
    ("changed", "target"),
    [
        ({"userPrincipalName": "ADA@contoso.example"}, "userPrincipalName"),
        ({"onPremisesImmutableId": "id-ada"}, "onPremisesImmutableId"),
    ],
)
def test_a_value_that_another_holds_is_400_with_object_conflict(
    directory: Directory, changed: dict[str, str], target: str
) -> None:
    directory.create()
    answer = directory.send("POST", "/users", person("bob", **changed))
    assert answer.status == 400
    assert answer.body is not None
    error = answer.body["error"]
    message = f"Another object with the same value for property {target} already exists."
    assert (error["code"], error["message"]) == (BAD, message)
    assert error["details"] == [{"code": "ObjectConflict", "message": message, "target": target}]


def test_a_name_that_is_anothers_address_is_a_conflict_of_proxy_addresses(directory: Directory) -> None:
    directory.add_user(userPrincipalName="team@plain.example", proxyAddresses=["SMTP:ada@contoso.example"])
    assert "proxyAddresses" in directory.refused(400, BAD, "POST", "/users", person())


def test_immutable_ids_that_differ_in_case_are_two_people(directory: Directory) -> None:
    first = directory.create("ada", onPremisesImmutableId="AbC=")
    second = directory.create("bob", onPremisesImmutableId="aBc=")
    for wanted, anchor in ((first, "AbC="), (second, "aBc=")):
        page = directory.good(200, "GET", f"/users?$filter=onPremisesImmutableId%20eq%20'{anchor}'")
        assert [each["id"] for each in page["value"]] == [wanted]


def test_patch_changes_and_clears(directory: Directory) -> None:
    user_id = directory.create(givenName="Ada", usageLocation="FR")
    directory.good(
        204,
        "PATCH",
        f"/users/{user_id}",
        {"givenName": None, "displayName": "A. L.", "accountEnabled": False},
    )
    shown = directory.good(
        200, "GET", f"/users/{user_id}?$select=givenName,displayName,accountEnabled,usageLocation"
    )
    del shown["@odata.context"]
    assert shown == {
        "givenName": None,
        "displayName": "A. L.",
        "accountEnabled": False,
        "usageLocation": "FR",
    }


def test_patch_takes_nothing_that_must_be_there(directory: Directory) -> None:
    user_id = directory.create()
    message = directory.refused(400, BAD, "PATCH", f"/users/{user_id}", {"displayName": None})
    assert message == "A value is required for property 'displayName' of resource 'User'."


def test_the_immutable_id_does_not_change_while_the_name_is_federated(directory: Directory) -> None:
    user_id = directory.create()
    change = {"onPremisesImmutableId": "another"}
    directory.refused(400, BAD, "PATCH", f"/users/{user_id}", change)
    directory.refused(
        400, BAD, "PATCH", f"/users/{user_id}", {**change, "userPrincipalName": "ada@plain.example"}
    )
    directory.good(204, "PATCH", f"/users/{user_id}", {"onPremisesImmutableId": "id-ada"})
    directory.good(204, "PATCH", f"/users/{user_id}", {"userPrincipalName": "ada@plain.example"})
    directory.good(204, "PATCH", f"/users/{user_id}", change)
    directory.good(204, "PATCH", f"/users/{user_id}", {"userPrincipalName": "ada@contoso.example"})


def test_nobody_enters_a_federated_domain_without_an_immutable_id(directory: Directory) -> None:
    user_id = directory.create("ada", "plain.example", onPremisesImmutableId=None)
    message = directory.refused(
        400, BAD, "PATCH", f"/users/{user_id}", {"userPrincipalName": "ada@contoso.example"}
    )
    assert "SourceAnchor" in message


def test_a_synced_user_belongs_to_the_other_directory(directory: Directory) -> None:
    user_id = directory.add_user(
        userPrincipalName="syn@contoso.example",
        onPremisesImmutableId="q83vEjRWeJA=",
        onPremisesSyncEnabled=True,
    )
    message = directory.refused(400, BAD, "PATCH", f"/users/{user_id}", {"displayName": "Syn"})
    assert "on-premises mastered Directory Sync objects" in message
    directory.refused(400, BAD, "DELETE", f"/users/{user_id}")
    directory.good(204, "PATCH", f"/users/{user_id}", {"usageLocation": "FR"})


def test_an_administrator_is_out_of_reach_for_user_readwrite_all(directory: Directory) -> None:
    user_id = directory.add_user(userPrincipalName="boss@contoso.example", roles=["Global Administrator"])
    for change in (
        {"accountEnabled": False},
        {"onPremisesImmutableId": "mine"},
        {"userPrincipalName": "b@plain.example"},
    ):
        directory.refused(403, "Authorization_RequestDenied", "PATCH", f"/users/{user_id}", change)
    directory.refused(403, "Authorization_RequestDenied", "DELETE", f"/users/{user_id}")
    directory.good(204, "PATCH", f"/users/{user_id}", {"jobTitle": "Boss"})


def test_roles_are_read_with_the_permission_for_them_only(directory: Directory) -> None:
    user_id = directory.add_user(userPrincipalName="boss@contoso.example", roles=["Global Administrator"])
    path = f"/users/{user_id}/transitiveMemberOf/microsoft.graph.directoryRole?$select=id,displayName"
    directory.refused(403, "Authorization_RequestDenied", "GET", path)
    directory.application(permissions=["User.ReadWrite.All", "Directory.Read.All"])
    directory.sign_in()
    (role,) = directory.good(200, "GET", path)["value"]
    assert role["displayName"] == "Global Administrator"
    assert role["@odata.type"] == "#microsoft.graph.directoryRole"


def test_delete_is_soft_and_restore_brings_back(directory: Directory) -> None:
    user_id = directory.create()
    directory.good(204, "DELETE", f"/users/{user_id}")
    directory.refused(404, "Request_ResourceNotFound", "GET", f"/users/{user_id}")
    directory.refused(404, "Request_ResourceNotFound", "DELETE", f"/users/{user_id}")
    listed = directory.good(
        200,
        "GET",
        "/directory/deletedItems/microsoft.graph.user?$filter=onPremisesImmutableId%20eq%20'id-ada'"
        "&$select=id,userPrincipalName,onPremisesImmutableId,deletedDateTime",
    )
    assert listed["value"] == [
        {
            "id": user_id,
            "userPrincipalName": user_id.replace("-", "") + "ada@contoso.example",
            "onPremisesImmutableId": "id-ada",
            "deletedDateTime": "2026-11-27T06:00:00Z",
        }
    ]
    restored = directory.good(200, "POST", f"/directory/deletedItems/{user_id}/restore")
    assert restored["userPrincipalName"] == "ada@contoso.example"
    assert directory.good(200, "GET", f"/users/{user_id}")["id"] == user_id


def test_a_deleted_user_keeps_the_immutable_id_but_not_the_name(directory: Directory) -> None:
    user_id = directory.create()
    directory.good(204, "DELETE", f"/users/{user_id}")
    assert "onPremisesImmutableId" in directory.refused(400, BAD, "POST", "/users", person())
    directory.create("ada", onPremisesImmutableId="another")
    restore = f"/directory/deletedItems/{user_id}/restore"
    assert "userPrincipalName" in directory.refused(400, BAD, "POST", restore)
    directory.good(200, "POST", restore, {"newUserPrincipalName": "ada2@contoso.example"})


def test_restore_ends_after_30_days(directory: Directory) -> None:
    user_id = directory.create()
    directory.good(204, "DELETE", f"/users/{user_id}")
    directory.clock.advance(30 * 24 * 3600)
    directory.sign_in()
    directory.refused(404, "Request_ResourceNotFound", "POST", f"/directory/deletedItems/{user_id}/restore")
    directory.create()


def test_purge_frees_everything(directory: Directory) -> None:
    user_id = directory.create()
    directory.good(204, "DELETE", f"/users/{user_id}")
    directory.good(204, "DELETE", f"/directory/deletedItems/{user_id}")
    directory.create()


def test_revoke_moves_the_start_of_valid_sessions(directory: Directory) -> None:
    user_id = directory.create()
    assert directory.good(200, "POST", f"/users/{user_id}/revokeSignInSessions")["value"] is True
    shown = directory.good(200, "GET", f"/users/{user_id}?$select=signInSessionsValidFromDateTime")
    assert shown["signInSessionsValidFromDateTime"] == "2026-11-27T06:00:00Z"
    directory.settings(revokeStatus=204)
    directory.good(204, "POST", f"/users/{user_id}/revokeSignInSessions")


def test_keys_in_every_spelling(directory: Directory) -> None:
    user_id = directory.create("o'hara")
    for path in (
        f"/users/{user_id}",
        f"/users/{user_id.upper()}",
        f"/users('{user_id}')",
        "/users/o'hara@contoso.example",
        "/users/o''hara%40contoso.example",
        "/users('o''hara@contoso.example')",
        "/users('o%27%27hara%40contoso.example')",
    ):
        assert directory.good(200, "GET", path)["id"] == user_id
    directory.refused(400, "BadRequest", "GET", "/users('o'hara@contoso.example')")


def test_a_name_that_begins_with_a_dollar_sign_needs_quotes(directory: Directory) -> None:
    user_id = directory.add_user(userPrincipalName="$ada@contoso.example")
    directory.refused(400, "BadRequest", "GET", "/users/$ada@contoso.example")
    directory.refused(400, "BadRequest", "GET", "/users/%24ada@contoso.example")
    assert directory.good(200, "GET", "/users('%24ada@contoso.example')")["id"] == user_id


def test_a_random_guid_is_404_with_the_permission_and_403_without(directory: Directory) -> None:
    path, change = "/users/99999999-9999-4999-8999-999999999999", {"accountEnabled": True}
    directory.refused(404, "Request_ResourceNotFound", "PATCH", path, change)
    without = Directory(permissions=["User.Read.All"])
    without.refused(403, "Authorization_RequestDenied", "PATCH", path, change)


def test_a_narrow_permission_opens_its_property_only() -> None:
    directory = Directory(permissions=["User.EnableDisableAccount.All", "User.Read.All"])
    user_id = directory.add_user(userPrincipalName="ada@plain.example")
    directory.good(204, "PATCH", f"/users/{user_id}", {"accountEnabled": False})
    directory.refused(403, "Authorization_RequestDenied", "PATCH", f"/users/{user_id}", {"jobTitle": "x"})
