"""Query options, pages, delta."""

from urllib.parse import quote, urlsplit

import pytest

from tests.standins.graph.directory import BUSINESS, ORIGIN, Directory

BAD = "Request_BadRequest"


@pytest.fixture
def directory() -> Directory:
    directory = Directory()
    for name in ("ada", "o'hara", "bob"):
        directory.create(name, displayName=name.title(), accountEnabled=name != "bob", usageLocation="FR")
    return directory


def names(directory: Directory, condition: str, advanced: bool = False) -> list[str]:
    extra = "&$count=true" if advanced else ""
    headers = {"ConsistencyLevel": "eventual"} if advanced else {}
    page = directory.good(200, "GET", f"/users?$filter={quote(condition)}{extra}", **headers)
    return [each["displayName"] for each in page["value"]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("userPrincipalName eq 'ADA@contoso.example'", ["Ada"]),
        ("userPrincipalName eq 'o''hara@contoso.example'", ["O'Hara"]),
        ("onPremisesImmutableId eq 'id-ada'", ["Ada"]),
        ("onPremisesImmutableId eq 'ID-ada'", []),
        ("onPremisesImmutableId in ('id-ada', 'id-bob')", ["Ada", "Bob"]),
        ("accountEnabled eq false", ["Bob"]),
        ("accountEnabled eq true and startswith(displayName,'o')", ["O'Hara"]),
        ("(displayName eq 'ada' or displayName eq 'BOB') and usageLocation eq 'FR'", ["Ada", "Bob"]),
        ("startsWith(userPrincipalName, 'b')", ["Bob"]),
        ("otherMails/any(m:m eq 'x@y.example')", []),
        (f"assignedLicenses/any(l:l/skuId eq {BUSINESS})", []),
        ("createdDateTime ge 2026-11-27T06:00:00Z", ["Ada", "O'Hara", "Bob"]),
    ],
)
def test_filters(directory: Directory, condition: str, expected: list[str]) -> None:
    assert names(directory, condition) == expected


@pytest.mark.parametrize(
    "condition", ["displayName ne 'Ada'", "not(displayName eq 'Ada')", "endswith(userPrincipalName,'example')",
                  "usageLocation eq null"]
)  # fmt: skip
def test_advanced_filters_need_the_header_and_a_count(directory: Directory, condition: str) -> None:
    path = f"/users?$filter={quote(condition)}"
    directory.refused(400, "Request_UnsupportedQuery", "GET", path)
    directory.refused(400, "Request_UnsupportedQuery", "GET", path, ConsistencyLevel="eventual")
    names(directory, condition, advanced=True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$filter=displayName%20eq", "BadRequest"),
        ("$filter=displayName%20eq%20'a", "BadRequest"),
        ("$filter=displayName%20eq%20'o'hara'", "BadRequest"),
        ("$filter=nothing%20eq%20'a'", "BadRequest"),
        ("$filter=aboutMe%20eq%20'a'", "Request_UnsupportedQuery"),
        ("$filter=" + "(" * 5000, "BadRequest"),
        ("$filter=" + quote("not " * 5000), "Request_UnsupportedQuery"),
        ("$select=nothing", "BadRequest"),
        ("$select=", "BadRequest"),
        ("$top=0", BAD),
        ("$top=1000", BAD),
        ("$top=x", BAD),
        ("$top=1&$top=2", "BadRequest"),
        ("$skiptoken=x", BAD),
        ("$skiptoken=bnVsbA", BAD),
        ("$count=yes", "BadRequest"),
        ("$filter=%ff", "BadRequest"),
    ],
)
def test_a_wrong_query_is_refused(directory: Directory, query: str, code: str) -> None:
    directory.refused(400, code, "GET", f"/users?{query}")


@pytest.mark.parametrize("query", ["$orderby=displayName", "$expand=manager", "$search=%22a%22", "$skip=1"])
def test_what_the_stand_in_does_not_know_it_says(directory: Directory, query: str) -> None:
    assert "does not know" in directory.refused(501, "notImplemented", "GET", f"/users?{query}")


def test_pages_show_everybody_once_while_others_come_and_go(directory: Directory) -> None:
    page = directory.good(
        200, "GET", "/users?$top=2&$select=displayName&$count=true", ConsistencyLevel="eventual"
    )
    assert page["@odata.count"] == 3
    directory.good(204, "DELETE", "/users/ada@contoso.example")
    directory.create("eve")
    seen = [each["displayName"] for each in page["value"]]
    while "@odata.nextLink" in page:
        link = page["@odata.nextLink"]
        assert link.startswith(f"{ORIGIN}/v1.0/users?")
        page = directory.good(200, "GET", f"/users?{urlsplit(link).query}")
        seen += [each["displayName"] for each in page["value"]]
    assert seen == ["Ada", "O'Hara", "Bob", "Eve"]


def test_delta_tells_what_changed(directory: Directory) -> None:
    directory.settings(deltaPage=2)
    path, seen = "/users/delta?$select=displayName", []
    while True:
        page = directory.good(200, "GET", path)
        seen += [each["displayName"] for each in page["value"]]
        if "@odata.deltaLink" in page:
            break
        path = f"/users/delta?{urlsplit(page['@odata.nextLink']).query}"
    assert sorted(seen) == ["Ada", "Bob", "O'Hara"]

    ada = directory.good(200, "GET", "/users/ada@contoso.example")["id"]
    bob = directory.good(200, "GET", "/users/bob@contoso.example")["id"]
    directory.good(204, "PATCH", f"/users/{ada}", {"displayName": "Countess"})
    directory.good(204, "DELETE", f"/users/{bob}")
    path = f"/users/delta?{urlsplit(page['@odata.deltaLink']).query}"
    page = directory.good(200, "GET", path)
    assert page["value"] == [
        {"displayName": "Countess", "id": ada},
        {"id": bob, "@removed": {"reason": "changed"}},
    ]
    again = directory.good(200, "GET", path)
    assert again["value"] == page["value"]  # the same token again tells the same again

    directory.good(204, "DELETE", f"/directory/deletedItems/{bob}")
    page = directory.good(200, "GET", f"/users/delta?{urlsplit(page['@odata.deltaLink']).query}")
    assert page["value"] == [{"id": bob, "@removed": {"reason": "deleted"}}]
    page = directory.good(200, "GET", f"/users/delta?{urlsplit(page['@odata.deltaLink']).query}")
    assert page["value"] == []


def test_delta_from_now_on(directory: Directory) -> None:
    page = directory.good(200, "GET", "/users/delta?$deltatoken=latest")
    assert page["value"] == []
    eve = directory.create("eve")
    page = directory.good(200, "GET", f"/users/delta?{urlsplit(page['@odata.deltaLink']).query}")
    assert [each["id"] for each in page["value"]] == [eve]


def test_delta_starts_over_after_7_days_or_in_another_directory(directory: Directory) -> None:
    page = directory.good(200, "GET", "/users/delta?$deltatoken=latest")
    path = f"/users/delta?{urlsplit(page['@odata.deltaLink']).query}"
    other = Directory()
    other.refused(400, "syncStateNotFound", "GET", path)
    directory.clock.advance(7 * 24 * 3600 + 1)
    directory.sign_in()
    answer = directory.send("GET", path)
    assert answer.status == 410
    assert answer.headers["Location"] == f"{ORIGIN}/v1.0/users/delta?$deltatoken="
    directory.refused(400, BAD, "GET", "/users/delta?$deltatoken=x")
    directory.refused(400, BAD, "GET", "/users/delta?$filter=x")
