"""People in the console: the list with its search, on both stores, and the record of what is done to them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.admin import handlers
from services.admin.domain import search
from services.admin.domain.accounts import Account
from services.admin.domain.changes import Change
from services.admin.domain.roles import Act, Actor, Role
from services.admin.domain.teams import Team
from services.admin.handlers import NewAccount
from services.admin.handlers import console_people as people
from services.admin.handlers.console_access import visit
from services.admin.handlers.recording import list_changes, recorded
from shared.contracts.admin import AccountStatus
from shared.errors import BadInput, Conflict, NotFound, Unavailable
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import ConsoleBrowser, signed_in
from tests.world import START

ACTOR = Actor(
    administrator="a1",
    name="Olga Owner",
    email="olga@admins.example",
    tenant=CONTOSO,
    role=Role.OWNER,
    account=None,
    session="s1",
    proven_at=START,
    address="192.0.2.7",
)


async def add(system: AdminSystem, name: str, upn: str, email: str = "x@home.example") -> Account:
    first, _, last = name.partition(" ")
    return await handlers.create_account(system.deps, CONTOSO, NewAccount(upn, first, last, email))


async def found(system: AdminSystem, query: str, status: AccountStatus | None = None) -> list[str]:
    page = await people.find_people(system.deps, ACTOR, query=query, status=status)
    return [each.upn.partition("@")[0] for each in page.accounts]


# search


@pytest.mark.parametrize(
    ("query", "upns"),
    [
        ("", ["al", "jp", "zoe"]),
        ("ada", ["al"]),
        ("LOVE", ["al"]),
        ("lovelace ada", ["al"]),
        ("ada zoe", []),
        ("zoé", ["zoe"]),
        ("zoe", ["zoe"]),
        ("ngström", ["zoe"]),
        ("angstrom", []),
        ("al@contoso", ["al"]),
        ("contoso.example", ["al", "jp", "zoe"]),
        ("private", ["jp"]),
        ("jp@private.ex", ["jp"]),
        ("o'brien", ["jp"]),
        ("brien", ["jp"]),
        ("paul", ["jp"]),
        ("x", ["al", "zoe"]),
        (".*", ["al", "jp", "zoe"]),
        ("(((", ["al", "jp", "zoe"]),
        ("nobody", []),
    ],
)
async def test_search_finds_by_the_beginning_of_any_word(
    system: AdminSystem, query: str, upns: list[str]
) -> None:
    await add(system, "Ada Lovelace", "al@contoso.example")
    await add(system, "Zoé Ðe-Ngström", "zoe@contoso.example")
    await add(system, "Jean-Paul O'Brien", "jp@contoso.example", "jp@private.example")
    assert await found(system, query) == upns


async def test_search_is_the_same_on_both_stores_over_many_pages(stored: AdminSystem) -> None:
    for number in range(230):
        await add(stored, f"Maria Number{number:03}", f"m{number:03}@contoso.example")
    await add(stored, "Martha Needle", "zz@contoso.example")
    assert await found(stored, "mar needle") == ["zz"]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await people.find_people(stored.deps, ACTOR, query="maria", cursor=cursor, limit=100)
        seen += [each.upn for each in page.accounts]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"m{number:03}@contoso.example" for number in range(230)]


async def test_a_filter_and_a_removed_person(stored: AdminSystem) -> None:
    ada, bob = (
        await add(stored, "Ada Berg", "ada@contoso.example"),
        await add(stored, "Bob Berg", "bob@contoso.example"),
    )
    await handlers.suspend(stored.deps, CONTOSO, bob.id)
    assert await found(stored, "berg", AccountStatus.SUSPENDED) == ["bob"]
    await handlers.remove(stored.deps, CONTOSO, ada.id)
    assert await found(stored, "berg") == ["bob"]
    assert await found(stored, "", AccountStatus.REMOVED) == ["ada"]
    stored.world.clock.advance(timedelta(days=30).total_seconds())
    await handlers.finish_removals(stored.deps)
    assert await found(stored, "", AccountStatus.REMOVED) == []
    assert await found(stored, "") == ["bob"]
    with pytest.raises(NotFound):
        await people.show_person(stored.deps, ACTOR, ada.id)


async def test_a_renamed_person_is_found_by_the_new_name_alone(stored: AdminSystem) -> None:
    ada = await add(stored, "Ada Lovelace", "maiden@contoso.example")
    await handlers.rename(stored.deps, CONTOSO, ada.id, "countess@contoso.example")
    assert await found(stored, "maiden") == []
    assert await found(stored, "countess") == ["countess"]


async def test_search_stays_within_the_tenant(system: AdminSystem) -> None:
    await system.account("ada", FABRIKAM)
    assert await found(system, "ada") == []


async def test_accounts_from_before_the_search_are_found_after_their_words_were_written(
    stored: AdminSystem,
) -> None:
    ada = await add(stored, "Ada Lovelace", "ada@contoso.example")
    collection = stored.database.collection("accounts", outbox=True, state=True)
    await collection.update({"_id": ada.id}, {"$unset": {"search": ""}})
    assert await found(stored, "ada") == []
    assert await stored.deps.accounts.index_words(10) == 1
    assert await stored.deps.accounts.index_words(10) == 0
    assert await found(stored, "ada") == ["ada"]


def test_only_short_beginnings_are_indexed_and_none_is_longer() -> None:
    assert search.prefixes(["adalovelace", "al"]) == ["a", "ad", "ada", "adal", "adalov", "adalovel", "al"]
    assert search.indexed(("adalovelace", "adalovel", "zoe")) == ("adalovel", "zoe")
    assert search.wanted(" Ada  LOVELACE ada@x ") == ("lovelace", "ada@x", "ada")
    assert search.wanted("x" * 5000) == ("x" * search.MAX_QUERY,)


# records


async def test_a_record_is_begun_before_the_act_and_finished_after_it(stored: AdminSystem) -> None:
    async with recorded(stored.deps, ACTOR, Act.SUSPEND, subject_id="p1", subject="ada@x") as record:
        (begun,) = (await list_changes(stored.deps, CONTOSO)).changes
        assert (begun.outcome, begun.subject, begun.address) == ("begun", "ada@x", "192.0.2.7")
        record.before["status"], record.after["status"] = "active", "suspended"
    (done,) = (await list_changes(stored.deps, CONTOSO, subject="p1")).changes
    assert (done.outcome, dict(done.before), dict(done.after)) == (
        "done",
        {"status": "active"},
        {"status": "suspended"},
    )
    assert (await list_changes(stored.deps, CONTOSO, subject="p2")).changes == ()
    assert (await list_changes(stored.deps, FABRIKAM)).changes == ()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(Conflict(), "refused"), (BadInput(), "refused"), (Unavailable(), "begun"), (RuntimeError(), "begun")],
)
async def test_an_act_that_fails_says_so_or_that_nobody_knows(
    system: AdminSystem, fault: Exception, outcome: str
) -> None:
    with pytest.raises(type(fault)):
        async with recorded(system.deps, ACTOR, Act.SUSPEND):
            raise fault
    (change,) = (await list_changes(system.deps, CONTOSO)).changes
    assert change.outcome == outcome


async def test_changes_come_in_pages_the_latest_first(stored: AdminSystem) -> None:
    for number in range(7):
        if number % 2:
            stored.world.clock.advance(1)
        async with recorded(stored.deps, ACTOR, Act.SUSPEND, subject_id=str(number)):
            pass
    seen: list[Change] = []
    cursor: str | None = None
    while True:
        page = await list_changes(stored.deps, CONTOSO, cursor=cursor, limit=2)
        seen += page.changes
        cursor = page.cursor
        if cursor is None:
            break
    assert len({each.id for each in seen}) == 7
    assert [each.at for each in seen] == sorted((each.at for each in seen), reverse=True)


# what the other stores keep


async def test_sessions_end_by_name_and_all_but_one(stored: AdminSystem) -> None:
    owner = await signed_in(stored)
    others = [ConsoleBrowser(stored, key=owner.key) for _ in range(2)]
    for each in others:
        await each.sign_in()
        others[-1].key = each.key
    visitor = await visit(stored.deps, owner.cookies["__Host-console"])
    assert visitor is not None
    sessions = stored.deps.console_sessions
    assert len(await sessions.of(visitor.administrator.id)) == 3
    assert await sessions.end("somebody else", visitor.session.id) is False
    assert await sessions.end_others(visitor.administrator.id, visitor.session.id) == 2
    assert await visit(stored.deps, others[0].cookies["__Host-console"]) is None
    assert await visit(stored.deps, owner.cookies["__Host-console"]) is not None


async def test_a_session_that_is_asked_in_is_written_once_a_minute(stored: AdminSystem) -> None:
    owner = await signed_in(stored)
    cookie = owner.cookies["__Host-console"]
    first = await visit(stored.deps, cookie)
    stored.world.clock.advance(59)
    assert await visit(stored.deps, cookie) == first
    stored.world.clock.advance(1)
    later = await visit(stored.deps, cookie)
    assert first is not None
    assert later is not None
    assert later.session.seen_at - first.session.seen_at == timedelta(seconds=60)
    assert later == await visit(stored.deps, cookie)


async def test_a_challenge_is_spent_once(stored: AdminSystem) -> None:
    challenges = stored.deps.used_challenges
    now = stored.world.clock.now()
    assert await challenges.spend(b"one", now)
    assert not await challenges.spend(b"one", now)
    assert await challenges.spend(b"two", now)


async def test_teams_are_found_by_member_and_a_new_tenant_has_an_empty_one(stored: AdminSystem) -> None:
    assert await stored.deps.teams.get("nowhere") == Team("nowhere")
    owner = await signed_in(stored)
    visitor = await visit(stored.deps, owner.cookies["__Host-console"])
    assert visitor is not None
    assert [each.tenant for each in await stored.deps.teams.of(visitor.administrator.id)] == [CONTOSO]
    assert await stored.deps.teams.of("nobody") == []


async def test_a_passkey_is_one_administrators(stored: AdminSystem) -> None:
    owner = await signed_in(stored)
    visitor = await visit(stored.deps, owner.cookies["__Host-console"])
    assert visitor is not None
    one = visitor.administrator
    assert await stored.deps.administrators.by_passkey(one.passkeys[0].credential_id) is not None
    assert await stored.deps.administrators.by_passkey("AAAA") is None

    assert not await stored.deps.administrators.add(replace(one, id="another"))


async def test_another_tenants_person_is_not_there(system: AdminSystem) -> None:
    theirs = await system.account("ada", FABRIKAM)
    for step in (
        people.show_person(system.deps, ACTOR, theirs.id),
        people.suspend_person(system.deps, ACTOR, theirs.id),
        people.invite_person(system.deps, ACTOR, theirs.id),
    ):
        with pytest.raises(NotFound):
            await step
    assert (await list_changes(system.deps, CONTOSO)).changes == ()
