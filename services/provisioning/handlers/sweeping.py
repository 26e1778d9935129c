"""Looks through all accounts of a tenant for what the directory should have (docs/flows/provisioning.md, step 3).

After a connection is set, since nothing was done for anybody before or other things were; and at the start of the
process, which may have been killed between an account's news and its job.
"""

from dataclasses import replace

from services.provisioning.domain.connection import Connection, swept, swept_anew
from services.provisioning.domain.person import Person, State, asked_again, begun, touched
from services.provisioning.domain.steps import concerns, next_step
from services.provisioning.domain.wanted import Account, Profile, is_urgent, wanted
from services.provisioning.ports import Dependencies

PAGE = 200


async def sweep_all_again(deps: Dependencies) -> None:
    """Every connection that is on is swept from the beginning. At the start of a process."""
    for connection in await deps.connections.enabled():
        await deps.connections.change(connection.tenant, swept_anew)


async def sweep(deps: Dependencies, connection: Connection) -> None:
    """Look through the next page of accounts. Repeated after a crash, it finds that the jobs are there already."""
    assert connection.sweep is not None
    pairs, cursor = await deps.accounts.page(connection.tenant, connection.sweep, PAGE)
    known = {
        person.account: person
        for person in await deps.people.many(connection.tenant, [a.account for a, _ in pairs])
    }
    for account, profile in pairs:
        person = known.get(account.account) or begun(connection.tenant, account.account, deps.clock.now())
        if _due(deps, connection, account, profile, person) is not None:
            await deps.people.touch(
                connection.tenant,
                account.account,
                lambda before, a=account, p=profile: _due(deps, connection, a, p, before),  # type: ignore[misc]
                deps.clock.now(),
            )
    await deps.connections.change(
        connection.tenant, lambda before: swept(before, connection.revision, cursor)
    )
    deps.queue.wake(connection.tenant)


def _due(
    deps: Dependencies, connection: Connection, account: Account, profile: Profile, person: Person
) -> Person | None:
    """The job with what is to be done now; None when there is nothing."""
    now = deps.clock.now()
    changed = touched(person, account.order, profile.order, now, urgent=is_urgent(account))
    if changed is not None:
        return changed if concerns(account, person) else None
    if person.state is State.FAILED:
        return asked_again(person, now) if connection.sweep_retries else None
    unread = connection.reads_roles and person.role_holder is None and person.object_id and not person.deleted
    if person.state is State.DONE and (
        unread or next_step(wanted(account, profile, connection.policy), person)
    ):
        older = replace(person, seen_account=account.order - 1)
        return touched(older, account.order, profile.order, now, urgent=is_urgent(account))
    return None
