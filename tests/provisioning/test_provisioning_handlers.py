"""Jobs from admin's news to the directory, over a directory in memory."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.provisioning.domain.answers import SignInFailed
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.ports import Target
from shared.contracts.admin import AccountStatus, AuthenticatorChanged, EndorsedBy
from shared.contracts.provisioning import CheckConnection, RetryPerson
from shared.directory import FaultKey
from shared.errors import Unavailable
from tests.provisioning.support import MINUTE, SECRETS, SKU, Provisioning, refusal

LOST = GraphAnswer(None)


async def created(provisioning: Provisioning, name: str = "ada", **fields: Any) -> None:
    await provisioning.account(name, **fields)
    await provisioning.work()
    assert provisioning.person(name).state == "done"


def key(provisioning: Provisioning, name: str = "ada") -> str | None:
    fault = provisioning.person(name).fault
    return None if fault is None else fault.key


# --- the plain ways -----------------------------------------------------------------------------------------


async def test_a_new_account_becomes_a_user(connected: Provisioning) -> None:
    await created(connected)
    user = connected.directory.only
    assert user["userPrincipalName"] == "ada@contoso.example"
    assert user["onPremisesImmutableId"] == "fd8d0ec5c5004116ada"
    assert (user["givenName"], user["surname"], user["mailNickname"]) == ("Ada", "Lovelace", "ada")
    assert [each.state for each in connected.told] == ["waiting", "done"]
    assert connected.person().object_id == "object-1"
    assert connected.person().request_id == "r-create"


async def test_without_a_connection_nothing_is_done_and_nothing_is_said(provisioning: Provisioning) -> None:
    await provisioning.account("ada")
    await provisioning.later(MINUTE, rounds=3)
    assert provisioning.directory.requests == []
    assert provisioning.told == []
    assert provisioning.world.documents("provisioning", "people") == []


async def test_accounts_from_before_the_connection_are_found_by_a_sweep(provisioning: Provisioning) -> None:
    for number in range(3):
        await provisioning.account(f"p{number}")
    await provisioning.account("gone", status=AccountStatus.REMOVED)
    await provisioning.account("out", status=AccountStatus.SUSPENDED)
    await provisioning.connect()
    await provisioning.work(4)
    assert len(provisioning.directory.users) == 3
    assert {each.account for each in provisioning.told} == {"p0", "p1", "p2"}


async def test_news_that_come_twice_or_late_make_one_user(connected: Provisioning) -> None:
    first = await connected.account("ada")
    await connected.account("ada", display_name="Countess Lovelace")
    for _ in range(2):
        await connected.world.say("admin", first)
        await connected.world.settle()
        await connected.work()
    assert connected.directory.only["displayName"] == "Countess Lovelace"
    assert connected.directory.made() == ["POST /users"]


async def test_who_is_suspended_is_disabled_then_signed_out_of_microsoft_and_let_in_again(
    connected: Provisioning,
) -> None:
    await created(connected)
    await connected.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
    await connected.work()
    assert not connected.directory.only["accountEnabled"]
    assert connected.directory.revoked == ["object-1"]
    assert connected.directory.made()[-2:] == [
        "PATCH /users/object-1",
        "POST /users/object-1/revokeSignInSessions",
    ]
    await connected.account("ada", status=AccountStatus.ACTIVE)
    await connected.work()
    assert connected.directory.only["accountEnabled"] is True
    assert connected.directory.revoked == ["object-1"]


async def test_who_is_removed_is_deleted_and_only_once(connected: Provisioning) -> None:
    await created(connected)
    removed = await connected.account("ada", status=AccountStatus.REMOVED, session_epoch=1)
    await connected.work()
    await connected.world.say("admin", removed)
    await connected.work()
    assert connected.directory.users == {}
    assert connected.directory.made("DELETE") == ["DELETE /users/object-1"]
    assert connected.person().state == "done"


async def test_a_user_that_is_gone_already_counts_as_deleted(connected: Provisioning) -> None:
    await created(connected)
    del connected.directory.users["object-1"]
    await connected.account("ada", status=AccountStatus.REMOVED)
    await connected.work()
    assert connected.person().state == "done"


@pytest.mark.parametrize(
    ("policy", "status", "enabled"),
    [
        ({"when_suspended": "keep"}, AccountStatus.SUSPENDED, True),
        ({"when_removed": "disable"}, AccountStatus.REMOVED, False),
        ({"when_removed": "keep"}, AccountStatus.REMOVED, True),
    ],
)
async def test_the_tenant_chooses_what_becomes_of_whom(
    provisioning: Provisioning, policy: dict[str, Any], status: AccountStatus, enabled: bool
) -> None:
    await provisioning.connect(**policy)
    await created(provisioning)
    await provisioning.account("ada", status=status, session_epoch=1)
    await provisioning.work()
    assert provisioning.directory.only["accountEnabled"] is enabled
    assert provisioning.directory.revoked == ["object-1"]


async def test_another_policy_takes_in_those_who_are_suspended_already(provisioning: Provisioning) -> None:
    await provisioning.connect(when_suspended="keep")
    await created(provisioning)
    await provisioning.account("ada", status=AccountStatus.SUSPENDED)
    await provisioning.work()
    await provisioning.connect(secrets=False, when_suspended="disable")
    await provisioning.work(4)
    assert provisioning.directory.only["accountEnabled"] is False


async def test_only_what_changed_is_sent(connected: Provisioning) -> None:
    await created(connected)
    await connected.account("ada", upn="countess@contoso.example")
    await connected.profile("ada", last_name="King")
    await connected.work()
    assert connected.directory.bodies("PATCH") == [
        {"userPrincipalName": "countess@contoso.example"},
        {"surname": "King"},
    ]
    assert connected.directory.only["onPremisesImmutableId"] == "fd8d0ec5c5004116ada"


async def test_what_somebody_changed_in_entra_by_hand_is_left_alone(connected: Provisioning) -> None:
    await created(connected)
    connected.directory.only["displayName"] = "Ada (Finance)"
    await connected.profile("ada", last_name="King")
    await connected.work()
    assert connected.directory.only["displayName"] == "Ada (Finance)"


async def test_sign_out_everywhere_revokes_microsofts_sessions(connected: Provisioning) -> None:
    await created(connected)
    await connected.account("ada", session_epoch=1)
    await connected.work()
    assert connected.directory.revoked == ["object-1"]


async def test_a_removed_phone_revokes_microsofts_sessions_once(connected: Provisioning) -> None:
    await created(connected)
    said = AuthenticatorChanged(
        version=2,
        authenticator="phone",
        kind="phone",
        account="ada",
        credential_id="",
        key_sha256="",
        endorsed_by=EndorsedBy(kind="invitation", id="i"),
        status="revoked",
        reason="administrator",
    )
    for _ in range(2):
        await connected.world.say("admin", said)
        await connected.world.say("admin", said, tenant="fabrikam")
        await connected.world.settle()
        await connected.work()
    assert connected.directory.revoked == ["object-1"]


async def test_a_phone_that_was_removed_before_there_was_a_user_revokes_nothing(
    connected: Provisioning,
) -> None:
    await connected.account("ada", status=AccountStatus.SUSPENDED)
    await connected.work()
    assert connected.directory.requests == []


# --- licences -----------------------------------------------------------------------------------------------


async def test_licences_are_assigned_after_the_location_and_taken_back(connected: Provisioning) -> None:
    await connected.account("ada")
    await connected.profile("ada", usage_location="FR", licences=(SKU,))
    await connected.work()
    assert connected.directory.only["usageLocation"] == "FR"
    assert connected.directory.only["assignedLicenses"] == [{"skuId": SKU}]
    connected.directory.only["assignedLicenses"].append({"skuId": "somebody-elses"})
    await connected.profile("ada", usage_location="FR", licences=())
    await connected.work()
    assert connected.directory.only["assignedLicenses"] == [{"skuId": "somebody-elses"}]
    assert connected.directory.bodies("POST")[-1] == {"addLicenses": [], "removeLicenses": [SKU]}


async def test_a_licence_without_a_location_is_not_even_asked_for(connected: Provisioning) -> None:
    await connected.account("ada")
    await connected.profile("ada", licences=(SKU,))
    await connected.work()
    assert connected.person().state == "failed"
    assert key(connected) == FaultKey.LOCATION_MISSING
    assert connected.directory.made() == ["POST /users"]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Subscription with SKU x does not have any available licenses.", FaultKey.LICENCE_UNITS),
        ("License x does not correspond to a valid company License.", FaultKey.LICENCE_UNKNOWN),
    ],
)
async def test_what_licences_can_fail_of(connected: Provisioning, message: str, fault: FaultKey) -> None:
    connected.directory.trick("POST /users/object-1/assignLicense", refusal(400, message))
    await connected.account("ada")
    await connected.profile("ada", usage_location="FR", licences=(SKU,))
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", fault)
    assert connected.person().object_id == "object-1"


async def test_a_location_that_licensing_does_not_know_yet_is_tried_again(connected: Provisioning) -> None:
    answer = refusal(400, "License assignment cannot be done for user with invalid usage location.")
    connected.directory.trick("POST /users/object-1/assignLicense", answer, answer)
    await connected.account("ada")
    await connected.profile("ada", usage_location="FR", licences=(SKU,))
    await connected.work()
    await connected.later(20, rounds=3)
    assert connected.person().state == "done"


# --- what gets lost, comes late, is taken -----------------------------------------------------------------------


async def test_a_creation_whose_answer_is_lost_makes_no_second_user(connected: Provisioning) -> None:
    connected.directory.trick("POST /users", LOST, after=True)
    await connected.account("ada")
    await connected.work()
    await connected.later(5)
    assert connected.person().state == "done"
    assert connected.directory.made() == ["POST /users"]
    assert len(connected.directory.users) == 1


@pytest.mark.parametrize("answer", [LOST, refusal(500, "Boom"), refusal(503, "Away"), refusal(504, "Late")])
async def test_a_lost_creation_that_does_not_show_yet_makes_no_second_user(
    connected: Provisioning, answer: GraphAnswer
) -> None:
    """The look-up is of yesterday, the second POST is refused, and the user is found when it shows."""
    connected.directory.trick("POST /users", answer, after=True)
    connected.directory.hidden.add("object-1")
    await connected.account("ada")
    await connected.work()
    await connected.later(10, rounds=5)
    assert connected.person().state == "working"
    connected.directory.hidden.clear()
    await connected.later(60, rounds=4)
    assert connected.person().state == "done"
    assert connected.person().object_id == "object-1"
    assert len(connected.directory.users) == 1


async def test_a_new_user_that_does_not_show_yet_is_changed_when_it_does(connected: Provisioning) -> None:
    await created(connected)
    connected.directory.hidden.add("object-1")
    await connected.account("ada", display_name="Countess")
    await connected.work()
    await connected.later(10, rounds=3)
    connected.directory.hidden.clear()
    await connected.later(60, rounds=3)
    assert connected.directory.only["displayName"] == "Countess"
    assert connected.person().state == "done"
    assert connected.directory.made().count("POST /users") == 1


async def test_a_foreign_user_of_the_same_name_is_never_adopted(connected: Provisioning) -> None:
    connected.directory.add("theirs", "ada@contoso.example", "somebody")
    before = dict(connected.directory.users["theirs"])
    await connected.account("ada")
    await connected.work()
    await connected.later(10)
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.NAME_TAKEN)
    assert connected.directory.users == {"theirs": before}
    await connected.account("ada", upn="ada.l@contoso.example")
    await connected.work()
    assert connected.person().state == "done"
    assert len(connected.directory.users) == 2


async def test_an_address_that_nobody_finds_is_given_up_with_its_own_words(connected: Provisioning) -> None:
    taken = "Another object with the same value for property proxyAddresses already exists."
    connected.directory.trick("POST /users", *([refusal(400, taken)] * 10))
    await connected.account("ada")
    await connected.work()
    await connected.later(5 * MINUTE, rounds=10)
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.ADDRESS_TAKEN)


async def test_a_name_goes_from_who_is_removed_to_who_is_new(connected: Provisioning) -> None:
    await created(connected, "ada", upn="desk@contoso.example")
    connected.directory.trick("DELETE /users/object-1", refusal(503, "Away"))
    await connected.account("ada", status=AccountStatus.REMOVED)
    await connected.account("bob", upn="desk@contoso.example")
    await connected.work()
    await connected.later(20, rounds=4)
    assert connected.person("ada").state == "done"
    assert connected.person("bob").state == "done"
    assert connected.directory.only["onPremisesImmutableId"] == "fd8d0ec5c5004116bob"


async def test_a_user_with_our_immutable_id_is_taken_over(connected: Provisioning) -> None:
    connected.directory.add("theirs", "ada@contoso.example", "fd8d0ec5c5004116ada")
    await created(connected)
    assert connected.person().object_id == "theirs"
    assert "POST /users" not in connected.directory.made()
    assert connected.directory.only["displayName"] == "Ada Lovelace"


@pytest.mark.parametrize("created", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
async def test_a_holder_of_a_directory_role_is_never_adopted(connected: Provisioning, created: str) -> None:
    """Made before the job began, or since."""
    connected.directory.add("admin", "ada@contoso.example", "fd8d0ec5c5004116ada", createdDateTime=created)
    connected.directory.roles["admin"] = ["global"]
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.HOLDS_ROLE)
    await connected.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
    await connected.work()
    assert connected.directory.made() == []


@pytest.mark.parametrize("created", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
async def test_a_role_on_a_later_page_counts_as_one_on_the_first(
    connected: Provisioning, created: str
) -> None:
    """Graph may answer an empty page that others follow."""
    connected.directory.add("admin", "ada@contoso.example", "fd8d0ec5c5004116ada", createdDateTime=created)
    connected.directory.roles["admin"] = ["global"]
    link = "https://graph.microsoft.com/v1.0/users/admin/transitiveMemberOf?$skiptoken=a%2Bb"
    empty = GraphAnswer(200, {"value": [], "@odata.nextLink": link})
    connected.directory.trick("GET /users/admin/transitiveMemberOf", empty, empty)
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.HOLDS_ROLE)
    assert connected.directory.requests[-1].url == "/users/admin/transitiveMemberOf?$skiptoken=a%2Bb"
    assert connected.directory.made() == []


@pytest.mark.parametrize(
    "body", [{}, {"value": {}}, {"value": [], "@odata.nextLink": "https://graph.microsoft.com/v1.0/users/x"}]
)
async def test_roles_whose_list_does_not_end_are_unreadable(
    connected: Provisioning, body: dict[str, Any]
) -> None:
    connected.directory.add("theirs", "ada@contoso.example", "fd8d0ec5c5004116ada")
    roles = [GraphAnswer(200, body)] * 20
    connected.directory.trick("GET /users/theirs/transitiveMemberOf", *roles)
    connected.directory.trick("GET /users/x", *roles)
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.ROLES_UNREADABLE)
    assert connected.directory.made() == []


async def test_nobody_is_adopted_while_roles_cannot_be_read(connected: Provisioning) -> None:
    connected.directory.add("theirs", "ada@contoso.example", "fd8d0ec5c5004116ada")
    connected.directory.forbidden = ("GET /users/theirs/transitiveMemberOf",)
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.ROLES_UNREADABLE)
    assert connected.directory.made() == []


@pytest.mark.parametrize("created", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
async def test_a_deleted_user_that_was_never_linked_is_left_to_a_person(
    connected: Provisioning, created: str
) -> None:
    """Made before the job began, or since. Once somebody has restored it, its roles are read as anybody's."""
    directory = connected.directory
    directory.add("admin", "ada@contoso.example", "fd8d0ec5c5004116ada", createdDateTime=created)
    directory.roles["admin"] = ["global"]
    directory.deleted["admin"] = directory.users.pop("admin")
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.DELETED_USER)
    directory.users["admin"] = directory.deleted.pop("admin")
    await connected.world.say("admin", RetryPerson(account="ada", version=connected.person().version))
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.HOLDS_ROLE)
    assert directory.made() == []


async def test_a_user_that_was_purged_after_it_was_linked_does_not_vouch_for_a_deleted_namesake(
    connected: Provisioning,
) -> None:
    await created(connected)
    connected.world.clock.advance(10 * MINUTE)
    directory = connected.directory
    directory.add("admin", "ada@contoso.example", "fd8d0ec5c5004116ada")
    directory.deleted["admin"] = directory.users.pop("admin")
    del directory.users["object-1"]
    await connected.account("ada", display_name="Countess")
    await connected.work()
    await connected.later(5, rounds=2)
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.DELETED_USER)
    assert list(directory.deleted) == ["admin"]


async def test_one_person_whom_microsoft_does_not_let_us_restore_stops_nobody_else(
    connected: Provisioning,
) -> None:
    """Who was given an administrator role meanwhile is restored by administrators only."""
    await created(connected)
    await connected.account("ada", status=AccountStatus.REMOVED)
    await connected.work()
    connected.directory.forbidden = ("POST /directory/deletedItems/object-1/restore",)
    await connected.account("ada", status=AccountStatus.ACTIVE)
    await connected.account("bob")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.PERSON_REFUSED)
    assert connected.person("bob").state == "done"
    assert connected.connections[-1].state == "ready"


async def test_a_user_of_ours_that_is_deleted_as_soon_as_it_is_found_can_be_restored_later(
    connected: Provisioning,
) -> None:
    """Its making was not answered, and the process dies after it has deleted it."""
    connected.directory.trick("POST /users", LOST, after=True)
    await connected.account("ada")
    await connected.work()
    await connected.account("ada", status=AccountStatus.REMOVED)

    def die(_: GraphRequest) -> GraphAnswer:
        raise Unavailable("killed")

    connected.directory.after.append(("DELETE", die))
    await connected.later(5)
    await connected.later(3 * MINUTE)
    assert connected.person().state == "done"
    assert list(connected.directory.deleted) == ["object-1"]
    await connected.account("ada", status=AccountStatus.ACTIVE)
    await connected.work()
    assert connected.person().state == "done"
    assert connected.directory.only["id"] == "object-1"


async def test_immutable_ids_that_differ_in_case_are_two_people(connected: Provisioning) -> None:
    connected.directory.add("other", "bob@contoso.example", "FD8D0EC5C5004116ADA")
    await created(connected)
    assert len(connected.directory.users) == 2
    assert connected.person().object_id != "other"
    assert connected.directory.users["other"]["userPrincipalName"] == "bob@contoso.example"


async def test_a_synced_user_is_never_patched(connected: Provisioning) -> None:
    connected.directory.add("synced", "ada@contoso.example", "AbC+/==", onPremisesSyncEnabled=True)
    await connected.account("ada", immutable_id="AbC+/==")
    await connected.work()
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.DIRECTORY_SYNCED)
    assert connected.directory.made() == []
    assert connected.directory.only["onPremisesImmutableId"] == "AbC+/=="
    connected.directory.only.update(displayName="Ada Lovelace", givenName="Ada", surname="Lovelace")
    await connected.world.say("admin", RetryPerson(account="ada", version=connected.person().version))
    await connected.work()
    await connected.account("ada", session_epoch=1)
    await connected.work()
    assert connected.directory.revoked == ["synced"]


async def test_an_object_that_became_somebody_else_is_left_alone(connected: Provisioning) -> None:
    await created(connected)
    connected.directory.trick("PATCH", LOST)
    connected.directory.only["onPremisesImmutableId"] = "another"
    await connected.account("ada", display_name="Countess")
    await connected.work()
    await connected.later(5)
    assert (connected.person().state, key(connected)) == ("failed", FaultKey.OTHER_IDENTITY)
    assert connected.directory.only["displayName"] == "Ada Lovelace"


async def test_a_user_that_was_deleted_in_entra_comes_back_when_the_account_changes(
    connected: Provisioning,
) -> None:
    await created(connected)
    connected.world.clock.advance(10 * MINUTE)
    connected.directory.deleted["object-1"] = connected.directory.users.pop("object-1")
    await connected.account("ada", display_name="Countess")
    await connected.work()
    await connected.later(5, rounds=2)
    assert connected.person().state == "done"
    assert connected.directory.only["displayName"] == "Countess"
    assert connected.directory.made().count("POST /users") == 1


# --- what Microsoft asks for ----------------------------------------------------------------------------------


async def test_retry_after_is_waited_for(connected: Provisioning) -> None:
    slow = GraphAnswer(429, {"error": {"code": "TooManyRequests"}}, retry_after=timedelta(seconds=30))
    connected.directory.trick("POST /users", slow)
    await connected.account("ada")
    await connected.work()
    await connected.account("bob")
    await connected.later(29)
    assert connected.directory.made() == ["POST /users"]
    await connected.later(5)
    assert connected.person("ada").state == "done"
    assert connected.person("bob").state == "done"


async def test_who_is_to_be_kept_out_goes_before_all_who_wait(connected: Provisioning) -> None:
    await created(connected)
    for number in range(30):
        await connected.account(f"p{number}")
    await connected.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
    connected.directory.requests.clear()
    await connected.worker.round()
    await connected.worker.idle()
    assert connected.directory.revoked == ["object-1"]
    assert len(connected.directory.users) < 30


# --- the connection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "code", "fault"),
    [
        (401, "invalid_client", 7000215, FaultKey.WRONG_SECRET),
        (401, "invalid_client", 7000222, FaultKey.EXPIRED_SECRET),
        (400, "unauthorized_client", 700016, FaultKey.UNKNOWN_CLIENT),
        (400, "invalid_request", 90002, FaultKey.UNKNOWN_TENANT),
        (400, "invalid_client", 50000, FaultKey.SIGN_IN_REFUSED),
    ],
)
async def test_a_sign_in_that_is_refused_pauses_everybody_and_fails_nobody(
    connected: Provisioning, status: int, error: str, code: int, fault: FaultKey
) -> None:
    connected.directory.sign_in = SignInFailed(
        status, error=error, codes=(code,), words="Words", trace_id="t"
    )
    for name in ("ada", "bob"):
        await connected.account(name)
    await connected.work()
    said = connected.connections[-1]
    assert said.state == "failed"
    assert said.fault is not None
    assert (said.fault.key, said.fault.code, said.fault.words, said.fault.request_id) == (
        fault,
        f"AADSTS{code}",
        "Words",
        "t",
    )
    assert connected.person().state == "waiting"
    connected.directory.sign_in = None
    await connected.later(5 * MINUTE)
    assert connected.directory.requests == []
    await connected.later(11 * MINUTE, rounds=3)
    assert (connected.person("ada").state, connected.person("bob").state) == ("done", "done")
    assert connected.connections[-1].state == "ready"


async def test_other_secrets_go_on_at_once(connected: Provisioning) -> None:
    connected.directory.sign_in = SignInFailed(401, error="invalid_client", codes=(7000215,))
    await connected.account("ada")
    await connected.work()
    connected.directory.sign_in = None
    await connected.connect()
    await connected.later(6)
    assert connected.person().state == "done"
    assert connected.directory.targets[-1].revision == 2


async def test_entra_that_does_not_answer_fails_nothing(connected: Provisioning) -> None:
    connected.directory.sign_in = SignInFailed(None)
    await connected.account("ada")
    await connected.work()
    await connected.later(5, rounds=3)
    assert connected.connections[-1].state == "ready"
    connected.directory.sign_in = None
    await connected.later(MINUTE, rounds=2)
    assert connected.person().state == "done"


async def test_a_missing_permission_pauses_the_connection(connected: Provisioning) -> None:
    connected.directory.forbidden = ("POST /users",)
    await connected.account("ada")
    await connected.work()
    said = connected.connections[-1]
    assert said.state == "failed"
    assert said.fault is not None
    assert said.fault.key == FaultKey.PERMISSION_MISSING
    assert connected.person().state == "waiting"


async def test_a_job_under_way_while_the_connection_is_set_anew_follows_the_new_settings(
    provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep of the new settings passes by what is under way under the old ones."""
    await provisioning.connect(when_removed="keep")
    await created(provisioning)
    answered, call = asyncio.Event(), provisioning.directory.call

    async def slow(target: Target, request: GraphRequest) -> GraphAnswer:
        await answered.wait()
        return await call(target, request)

    monkeypatch.setattr(provisioning.directory, "call", slow)
    await provisioning.account("ada", status=AccountStatus.REMOVED, session_epoch=1)
    await provisioning.worker.round()
    await provisioning.connect(when_removed="disable")
    await provisioning.worker.round()
    await provisioning.worker._running["sweep/contoso"]
    answered.set()
    await provisioning.worker.idle()
    await provisioning.work()
    assert provisioning.directory.only["accountEnabled"] is False
    assert provisioning.person().state == "done"


async def test_an_older_setting_that_comes_late_changes_nothing(connected: Provisioning) -> None:
    first = connected.command(1)
    await connected.connect(enabled=False)
    for _ in range(2):
        await connected.world.say("admin", first)
        await connected.world.settle()
    assert connected.connections[-1].state == "off"
    await connected.account("ada")
    await connected.work()
    assert connected.directory.requests == []


async def test_secrets_of_another_tenant_or_revision_do_not_open(provisioning: Provisioning) -> None:
    copied = provisioning.command(1).model_copy(update={"revision": 2})
    await provisioning.world.say("admin", copied)
    await provisioning.world.say("admin", provisioning.command(1), tenant="fabrikam")
    await provisioning.world.settle()
    assert provisioning.world.documents("provisioning", "connections") == []
    assert len(provisioning.world.bus.dead_letters) == 2
    assert SECRETS.client_secret not in str(provisioning.world.bus.dead_letters)


async def test_the_secret_is_nowhere_in_the_database(connected: Provisioning) -> None:
    await created(connected)
    everything = repr(connected.world.databases["provisioning"].data)
    assert SECRETS.client_secret not in everything
    assert SECRETS.client_id in everything


async def test_a_check_says_what_is_there_and_what_is_missing(connected: Provisioning) -> None:
    connected.directory.forbidden = ("GET /users/0000", "GET /subscribedSkus")
    for _ in range(2):
        await connected.world.say("admin", CheckConnection(check="one"))
        await connected.work()
    found = connected.connections[-1].checked
    assert found is not None
    assert {each.name: each.granted for each in found.permissions} == {
        "User.ReadWrite.All": True,
        "LicenseAssignment.Read.All": False,
        "Domain.Read.All": True,
        "RoleManagement.Read.Directory": False,
    }
    assert found.domains == ("contoso.example",)
    assert len(connected.directory.requests) == 4


async def test_a_check_that_nobody_answers_lets_no_failed_connection_go_on(connected: Provisioning) -> None:
    connected.directory.sign_in = SignInFailed(401, error="invalid_client", codes=(7000215,))
    await connected.account("ada")
    await connected.work()
    assert connected.connections[-1].state == "failed"
    connected.directory.sign_in = SignInFailed(None)
    await connected.world.say("admin", CheckConnection(check="one"))
    await connected.work()
    said = connected.connections[-1]
    assert said.checked is not None
    assert said.checked.fault is not None
    assert said.checked.fault.key == FaultKey.NO_ANSWER
    assert (said.state, said.fault and said.fault.key) == ("failed", FaultKey.WRONG_SECRET)


# --- trying again -----------------------------------------------------------------------------------------------


async def test_try_again_works_once_and_for_the_failure_that_was_seen(connected: Provisioning) -> None:
    connected.directory.add("theirs", "ada@contoso.example", "somebody")
    await connected.account("ada")
    await connected.work()
    await connected.later(10)
    again = RetryPerson(account="ada", version=connected.person().version)
    del connected.directory.users["theirs"]
    for _ in range(2):
        await connected.world.say("admin", again)
        await connected.work()
    assert connected.person().state == "done"
    assert connected.directory.made().count("POST /users") == 2
    await connected.world.say("admin", again, tenant="fabrikam")
    await connected.work()
    assert len(connected.directory.users) == 1


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (refusal(400, "Property userPrincipalName is invalid."), FaultKey.NAME_REFUSED),
        (
            refusal(400, "The domain portion of the userPrincipalName property is invalid."),
            FaultKey.DOMAIN_NOT_VERIFIED,
        ),
        (
            refusal(400, "SourceAnchor is a required property for creating a federated user."),
            FaultKey.REFUSED,
        ),
    ],
)
async def test_what_cannot_succeed_stops_with_microsofts_words(
    connected: Provisioning, answer: GraphAnswer, fault: FaultKey
) -> None:
    connected.directory.trick("POST /users", answer)
    await connected.account("ada")
    await connected.work()
    said = connected.person()
    assert said.state == "failed"
    assert said.fault is not None
    assert (said.fault.key, said.fault.code) == (fault, "Request_BadRequest")
    assert said.fault.words == answer.error[1]
    assert said.fault.request_id == "r-1"


async def test_a_fault_of_our_own_is_seen_and_tried_again(
    connected: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = connected.directory.call

    async def broken(*_: object) -> GraphAnswer:
        raise KeyError("the-value")

    monkeypatch.setattr(connected.directory, "call", broken)
    await connected.account("ada")
    await connected.work()
    await connected.later(5)
    assert key(connected) == FaultKey.OWN_FAULT
    monkeypatch.setattr(connected.directory, "call", call)
    await connected.later(MINUTE)
    assert connected.person().state == "done"


async def test_a_suspension_that_comes_while_a_user_is_made_is_not_lost(
    connected: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = connected.directory.call

    async def slow(target: Any, request: Any) -> GraphAnswer:
        answer = await call(target, request)
        if request.method == "POST" and request.url == "/users":
            await connected.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
        return answer

    await connected.account("ada")
    monkeypatch.setattr(connected.directory, "call", slow)
    await connected.work(4)
    assert connected.directory.only["accountEnabled"] is False
    assert connected.directory.revoked == ["object-1"]
    assert connected.person().state == "done"


async def test_an_account_that_admin_no_longer_has_is_left_alone(connected: Provisioning) -> None:
    await created(connected)
    await connected.deps.accounts.accounts.collection.update(  # type: ignore[attr-defined]
        {"_id": "contoso/ada"}, {"$set": {"lapsed": True}}
    )
    await connected.connect()
    await connected.work()
    assert connected.directory.made() == ["POST /users"]


async def roles_become_readable(connected: Provisioning) -> None:
    await connected.world.say("admin", CheckConnection(check="roles"))
    await connected.work()


async def test_holders_of_directory_roles_are_told_once_roles_can_be_read(connected: Provisioning) -> None:
    """Those that were linked before, those that come later, and whoever is given a role or loses it."""
    await created(connected)
    assert connected.person().holds_directory_role is None
    (ada,) = connected.directory.users
    connected.directory.roles[ada] = ["global"]
    await roles_become_readable(connected)
    assert (connected.person().state, connected.person().holds_directory_role) == ("done", True)
    assert not any(ada in each for each in connected.directory.made("PATCH"))
    connected.directory.requests.clear()
    await connected.account("bob")
    await connected.work()
    assert connected.person("bob").holds_directory_role is False
    assert not any("transitiveMemberOf" in each.url for each in connected.directory.requests)
    connected.directory.roles[ada] = []
    await connected.account("ada", display_name="Ada King")
    await connected.work()
    assert connected.person().holds_directory_role is False


async def test_a_look_for_roles_that_fails_changes_nothing_of_what_is_known(connected: Provisioning) -> None:
    await created(connected)
    (ada,) = connected.directory.users
    connected.directory.roles[ada] = ["global"]
    await roles_become_readable(connected)
    connected.directory.trick(f"GET /users/{ada}/transitiveMemberOf", GraphAnswer(503, {}, "r-9"))
    await connected.account("ada", display_name="Ada King")
    await connected.work()
    assert (connected.person().state, connected.person().holds_directory_role) == ("done", True)


async def test_a_holder_that_is_not_taken_over_is_told_as_one(connected: Provisioning) -> None:
    connected.directory.add("admin", "ada@contoso.example", "fd8d0ec5c5004116ada")
    connected.directory.roles["admin"] = ["global"]
    await connected.account("ada")
    await connected.work()
    assert (connected.person().state, connected.person().holds_directory_role) == ("failed", True)


async def test_a_connection_to_another_directory_takes_no_holders_protection_away(
    connected: Provisioning,
) -> None:
    """An administrator leads provisioning to a directory of his own, where everybody is made anew without a role."""
    await created(connected)
    (ada,) = connected.directory.users
    connected.directory.roles[ada] = ["global"]
    await roles_become_readable(connected)
    assert connected.person().holds_directory_role is True
    connected.directory.users.clear()
    connected.directory.roles.clear()
    connected.directory.add("his-own", "mallory@contoso.example", "mallory")
    await connected.connect()
    await connected.world.say("admin", CheckConnection(check="elsewhere"))
    await connected.work()
    await connected.account("ada", session_epoch=1)
    await connected.work()
    await connected.later(MINUTE, rounds=12)
    (new,) = set(connected.directory.users) - {"his-own"}
    assert (connected.person().state, connected.person().object_id) == ("done", new)
    assert new != ada
    assert connected.person().holds_directory_role is True
