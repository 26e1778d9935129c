"""Provisioning in the console (docs/flows/provisioning.md): every act checked, recorded, and done by the command line's
handlers. What is shown is what provisioning said last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.admin.domain.accounts import Account
from services.admin.domain.directory import DirectorySettings, read_properties
from services.admin.domain.roles import Act, Actor, Operator
from services.admin.domain.search import matches, wanted
from services.admin.handlers import directory
from services.admin.handlers.accounts import AccountPage, read_cursor, write_cursor
from services.admin.handlers.common import checked_limit
from services.admin.handlers.console_people import on_account
from services.admin.handlers.directory import DirectoryView
from services.admin.handlers.recording import Record, recorded
from services.admin.ports import Dependencies
from shared.contracts.provisioning import (
    ConnectionChanged,
    ConnectionSecrets,
    Fault,
    PersonChanged,
    WhenRemoved,
    WhenSuspended,
)
from shared.errors import BadInput, NotFound

BATCH = 200
"""Failed jobs that are read at once."""


@dataclass(frozen=True, slots=True)
class FaultyPeople:
    """One page of people whose job has failed, with what provisioning says of them, by account."""

    page: AccountPage
    faults: dict[str, Fault | None]


async def show_connection(deps: Dependencies, actor: Actor) -> DirectoryView:
    """The connection as it was asked for and as it is. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_PROVISIONING, deps.clock.now())
    return await directory.show_connection(deps, actor.tenant)


async def change_connection(
    deps: Dependencies,
    actor: Actor,
    *,
    properties: str,
    enabled: bool,
    when_suspended: WhenSuspended,
    when_removed: WhenRemoved,
    secret_ends_at: datetime | None,
    expected_revision: int,
) -> DirectorySettings:
    """Set the connection. `properties`: as they were typed; empty leaves those in force. `expected_revision`: of what
    the form showed. Raises Forbidden, BadInput, Conflict (changed meanwhile).
    """
    actor.require(Act.CHANGE_PROVISIONING, deps.clock.now())
    return await set_connection(
        deps,
        actor,
        secrets=read_properties(properties, deps.clock.now()) if properties.strip() else None,
        enabled=enabled,
        when_suspended=when_suspended,
        when_removed=when_removed,
        secret_ends_at=secret_ends_at,
        expected_revision=expected_revision,
    )


async def set_connection(
    deps: Dependencies,
    by: Actor | Operator,
    *,
    secrets: ConnectionSecrets | None,
    enabled: bool | None,
    when_suspended: WhenSuspended | None,
    when_removed: WhenRemoved | None,
    secret_ends_at: datetime | None,
    expected_revision: int | None = None,
) -> DirectorySettings:
    """The same for whoever was found to be allowed to; what is None stays. Raises NotFound, BadInput, Conflict."""
    before = await directory.show_connection(deps, by.tenant)
    subject = secrets.tenant_domain if secrets else before.known.tenant_domain if before.known else ""
    async with recorded(deps, by, Act.CHANGE_PROVISIONING, subject_id=by.tenant, subject=subject) as record:
        after = await directory.set_connection(
            deps,
            by.tenant,
            properties=secrets,
            enabled=enabled,
            when_suspended=when_suspended,
            when_removed=when_removed,
            secret_ends_at=secret_ends_at,
            expected_revision=expected_revision,
        )
        was, now = _facts(before.asked), _facts(after)
        changed = [name for name in now if was[name] != now[name]]
        led, leads = _leads(before.known, secrets), _leads(secrets, secrets)
        # What stays is said once, so that the record of a new secret says what it belongs to.
        left = {name: value for name, value in led.items() if value != leads[name]}
        record.before = {name: was[name] for name in changed if was[name]} | left
        record.after = {name: now[name] for name in changed} | leads
    return after


def _facts(settings: DirectorySettings) -> dict[str, str]:
    ends = settings.secret_ends_at
    return {
        "enabled": "yes" if settings.enabled else "no",
        "when_suspended": settings.when_suspended,
        "when_removed": settings.when_removed,
        "secret_ends": "" if ends is None else f"{ends:%Y-%m-%d}",
    }


def _leads(
    where: ConnectionChanged | ConnectionSecrets | None, secrets: ConnectionSecrets | None
) -> dict[str, str]:
    """Where a connection leads and as what it signs in, for the record of a change that brought secrets. None of it is
    secret.
    """
    if secrets is None or where is None or not where.client_id:
        return {}
    return {"client_id": where.client_id, "tenant_domain": where.tenant_domain}


async def test_connection(deps: Dependencies, actor: Actor) -> str:
    """Ask provisioning to try the connection; the id of the test. Raises Forbidden, NotFound, Conflict (none)."""
    actor.require(Act.TEST_PROVISIONING, deps.clock.now())
    return await check_connection(deps, actor)


async def check_connection(deps: Dependencies, by: Actor | Operator) -> str:
    """The same for whoever was found to be allowed to. Raises NotFound, Conflict."""
    view = await directory.show_connection(deps, by.tenant)
    subject = view.known.tenant_domain if view.known else ""
    async with recorded(deps, by, Act.TEST_PROVISIONING, subject_id=by.tenant, subject=subject):
        return await directory.check_connection(deps, by.tenant)


async def show_link(deps: Dependencies, actor: Actor, account_id: str) -> PersonChanged | None:
    """What became of the person in the directory; None when provisioning has said nothing.

    Raises Forbidden, NotFound.
    """
    actor.require(Act.SEE_PEOPLE, deps.clock.now())
    if await deps.accounts.get(actor.tenant, account_id) is None:
        raise NotFound
    return await deps.directory.person(actor.tenant, account_id)


async def retry_person(deps: Dependencies, actor: Actor, account_id: str) -> Account:
    """Try again what has failed. Raises Forbidden, NotFound, Conflict (nothing has failed)."""
    async with on_account(deps, actor, Act.RETRY_PROVISIONING, account_id) as (account, _):
        return await directory.retry_person(deps, actor.tenant, account.id)


async def change_licences(
    deps: Dependencies,
    actor: Actor,
    account_id: str,
    *,
    usage_location: str,
    licences: Sequence[str],
    expected_version: int,
) -> Account:
    """The licences and the usage location that the person has from here: these and no others.

    Raises Forbidden, NotFound, BadInput, Conflict (changed meanwhile).
    """
    async with on_account(deps, actor, Act.CHANGE_LICENCES, account_id) as (account, record):
        require_location(usage_location, licences)
        return await set_licences(
            deps,
            account,
            record,
            usage_location=usage_location,
            licences=licences,
            expected_version=expected_version,
        )


async def set_licences(
    deps: Dependencies,
    account: Account,
    record: Record,
    *,
    usage_location: str | None,
    licences: Sequence[str] | None,
    expected_version: int | None = None,
) -> Account:
    """The same for whoever was found to be allowed to, in a record that is under way; what is None stays.

    Raises NotFound, BadInput, Conflict.
    """
    known = await deps.directory.connection(account.tenant)
    changed = await directory.set_licences(
        deps,
        account.tenant,
        account.id,
        usage_location=usage_location,
        licences=licences,
        expected_version=expected_version,
    )
    was, now = _licence_facts(account, known), _licence_facts(changed, known)
    record.before = {name: was[name] for name in was if was[name] != now[name]}
    record.after = {name: now[name] for name in was if was[name] != now[name]}
    return changed


def _licence_facts(account: Account, known: ConnectionChanged | None) -> dict[str, str]:
    return {
        "location": account.usage_location,
        "licences": ", ".join(licence_names(account.licences, known)),
    }


def require_location(usage_location: str, licences: Sequence[str]) -> None:
    """Raises BadInput for licences without a usage location: Entra assigns none."""
    if licences and not usage_location.strip():
        raise BadInput("admin.licence.location")


def licence_names(skus: Sequence[str], known: ConnectionChanged | None) -> list[str]:
    """Microsoft's names of those licences, and the SKU ids of the others."""
    found = known.checked.licences if known is not None and known.checked is not None else ()
    names = {each.sku: each.name for each in found}
    return [names.get(each, each) for each in skus]


async def faulty_people(
    deps: Dependencies, actor: Actor, *, query: str = "", cursor: str | None = None, limit: int = 50
) -> FaultyPeople:
    """People whose job has failed, in the order of their accounts' ids. `query` as in `find_people`.

    Raises Forbidden, BadInput (limit, cursor).
    """
    actor.require(Act.SEE_PEOPLE, deps.clock.now())
    limit, words = checked_limit(limit), wanted(query)
    after = "" if cursor is None else read_cursor(cursor)[1]
    found: list[Account] = []
    faults: dict[str, Fault | None] = {}
    while len(found) <= limit:
        failed = await deps.directory.failed(actor.tenant, after, BATCH)
        faults |= {each.account: each.fault for each in failed}
        accounts = await deps.accounts.many(actor.tenant, [each.account for each in failed])
        found += [each for each in accounts if matches(each, words)]
        if len(failed) < BATCH:
            break
        after = failed[-1].account
    last = found[limit - 1] if len(found) > limit else None
    return FaultyPeople(
        AccountPage(tuple(found[:limit]), None if last is None else write_cursor(last)), faults
    )
