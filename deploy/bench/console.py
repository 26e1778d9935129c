"""`console_ms`: how long admin takes for the console's pages and searches, with many accounts.

admin alone, in this process, on the bench's MongoDB; an owner with a session that is written beside it, since a passkey
costs the same whatever the number of accounts. Each address is asked several times over HTTP on the loopback and the
quickest answer counts: other programs run beside.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp

from deploy.bench.http import Broken
from deploy.local.platform import make_keys
from deploy.local.settings import local_settings
from services.admin import app as admin_app
from services.admin import handlers
from services.admin.domain.accounts import Account, immutable_id
from services.admin.domain.administrators import Administrator, ConsoleSession, Passkey
from services.admin.domain.roles import Role
from services.admin.domain.teams import Member, Team, secret_digest
from services.admin.ports import Dependencies
from shared.clock import SystemClock
from shared.contracts.admin import AccountStatus
from shared.ids import Ids, SystemIds, new_id, new_secret
from shared.platform import open_platform
from shared.services import CONSOLE_COOKIE_NAME
from shared.web.server import serve

TENANT, DOMAIN = "contoso", "contoso.example"
FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken", "Radia", "Donald", "Frances", "Tony")
LAST = ("Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen")
BATCH = 1000
TIMES = 5
PAGE_MS, SEARCH_MS = 150, 200
"""The aims."""
_PEOPLE = f"/t/{TENANT}/people"


@dataclass(frozen=True, slots=True)
class Asked:
    """An address, in words, and how many milliseconds it may take."""

    name: str
    path: str
    aim: int


def addresses(person: str) -> tuple[Asked, ...]:
    """What is asked. `person`: the id of somebody."""
    return (
        Asked("overview", f"/t/{TENANT}", PAGE_MS),
        Asked("people", _PEOPLE, PAGE_MS),
        Asked("people, suspended", f"{_PEOPLE}?status=suspended", PAGE_MS),
        Asked("people, removed", f"{_PEOPLE}?status=removed", PAGE_MS),
        Asked("a person", f"{_PEOPLE}/{person}", PAGE_MS),
        Asked("changes", f"/t/{TENANT}/changes", PAGE_MS),
        Asked("federation", f"/t/{TENANT}/federation", PAGE_MS),
        Asked("readiness", f"/t/{TENANT}/federation/{DOMAIN}/readiness", PAGE_MS),
        Asked("search: a", f"{_PEOPLE}?q=a", SEARCH_MS),
        Asked("search: ada", f"{_PEOPLE}?q=ada", SEARCH_MS),
        Asked("search: jansen999", f"{_PEOPLE}?q=jansen999", SEARCH_MS),
        Asked("search: two words", f"{_PEOPLE}?q=radia+haas777", SEARCH_MS),
        Asked("search: an address", f"{_PEOPLE}?q=p99999%40home", SEARCH_MS),
        Asked("search: nobody", f"{_PEOPLE}?q=nobody", SEARCH_MS),
    )


def accounts(count: int, ids: Ids, now: datetime) -> Iterator[Account]:
    """So many people; of a thousand one is suspended, and one of three has never enrolled a phone."""
    for number in range(count):
        first, last = FIRST[number % 10], f"{LAST[number // 10 % 10]}{number // 100}"
        account = new_id(ids)
        status = AccountStatus.INVITED if number % 3 == 0 else AccountStatus.ACTIVE
        yield Account(
            id=account,
            tenant=TENANT,
            upn=f"{first}.{last}@{DOMAIN}".lower(),
            first_name=first,
            last_name=last,
            display_name=f"{first} {last}",
            email=f"p{number}@home.example",
            immutable_id=immutable_id(account),
            status=AccountStatus.SUSPENDED if number % 1000 == 0 else status,
            enrolled=status is AccountStatus.ACTIVE,
            created_at=now,
        )


async def seed(deps: Dependencies, count: int) -> str:
    """Make them; the id of one of them."""
    made = accounts(count, deps.ids, deps.clock.now())
    last = ""
    while batch := list(islice(made, BATCH)):
        await deps.accounts.add_many(batch)
        last = batch[-1].id
    return last


async def owner_session(deps: Dependencies) -> str:
    """The secret of a session of a new owner."""
    now, secret = deps.clock.now(), new_secret(deps.ids)
    passkey = Passkey(credential_id="bench", public_key="", name="bench", added_at=now)
    owner = Administrator(
        id=new_id(deps.ids),
        name="Olga Owner",
        email="olga@admins.example",
        passkeys=(passkey,),
        created_at=now,
    )
    await deps.administrators.add(owner)
    member = Member(administrator=owner.id, name=owner.name, email=owner.email, role=Role.OWNER, since=now)
    await deps.teams.change(
        TENANT, lambda team: Team(TENANT, (*team.members, member), team.invitations, team.version + 1)
    )
    await deps.console_sessions.add(
        ConsoleSession(
            digest=secret_digest(secret.encode()),
            id=new_id(deps.ids),
            administrator=owner.id,
            passkey=passkey.credential_id,
            begun_at=now,
            seen_at=now,
            proven_at=now,
            agent="bench",
            address="unknown",
        )
    )
    return secret


async def run(mongo_url: str, folder: Path, *, count: int) -> dict[str, Any]:
    """Milliseconds of each address with so many accounts, and the slowest of pages and of searches. Raises Broken."""
    async with AsyncExitStack() as stack:
        settings = local_settings(folder, 8365, mongo_url, database_prefix="bench_console")
        make_keys(settings, SystemIds())
        platform = open_platform(settings)
        wired = admin_app.build(platform)
        deps, service = wired.dependencies, wired.service
        stack.push_async_callback(service.database.close)
        await service.database.migrate()
        await handlers.create_tenant(deps, TENANT, "Contoso")
        await handlers.add_domain(deps, TENANT, DOMAIN)
        await handlers.add_application(deps, TENANT)
        person = await seed(deps, count)
        secret = await owner_session(deps)
        assert service.web is not None
        runner, port = await serve(service.web, "127.0.0.1", 0)
        stack.push_async_callback(runner.cleanup)
        headers = {"Cookie": f"__Host-{CONSOLE_COOKIE_NAME}={secret}", "Host": "console.localhost:8365"}
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        found: dict[str, float] = {}
        for each in addresses(person):
            found[each.name] = await _quickest(http, f"http://127.0.0.1:{port}{each.path}")
    limits = {each.name: each.aim for each in addresses(person)}
    pages = [ms for name, ms in found.items() if limits[name] == PAGE_MS]
    searches = [ms for name, ms in found.items() if limits[name] == SEARCH_MS]
    return {"accounts": count, "page": max(pages), "search": max(searches), "each": found}


async def _quickest(http: aiohttp.ClientSession, url: str) -> float:
    clock, times = SystemClock(), []
    for _ in range(TIMES):
        began = clock.monotonic()
        async with http.get(url, allow_redirects=False) as answer:
            await answer.read()
        if answer.status != 200:
            raise Broken(f"{answer.status} from {url}")
        times.append(clock.monotonic() - began)
    return round(min(times) * 1000, 1)
