"""The checklist of a tenant's Microsoft 365 (docs/flows/tenant-configuration.md): how it stands, marks set and taken
back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.admin.domain.certificates import certificate_facts
from services.admin.domain.configuration import (
    RULES,
    Item,
    Known,
    Mark,
    Row,
    Verified,
    row,
    rows,
)
from services.admin.domain.configuration_steps import INITIAL, PORTALS, Steps, steps
from services.admin.domain.roles import Act, Actor
from services.admin.domain.tenants import Tenant
from services.admin.handlers.recording import recorded
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.errors import NotFound
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item with what an administrator does about it. `portal`: address of Microsoft's admin centre; `initial`: what
    the directory's initial domain ends with; `domains`: the tenant's, which a mark set now is about.
    """

    row: Row
    steps: Steps
    portal: str
    initial: str
    domains: tuple[str, ...]


async def show_configuration(deps: Dependencies, actor: Actor) -> Mapping[str, tuple[Row, ...]]:
    """Step 1: every item by group. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_CONFIGURATION, deps.clock.now())
    tenant = await show_tenant(deps, actor.tenant)
    return rows(await deps.checklists.get(actor.tenant), await _known(deps, tenant))


async def show_item(deps: Dependencies, actor: Actor, name: str) -> ShownItem:
    """Step 2: one of them. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_CONFIGURATION, deps.clock.now())
    item, tenant = _item(name), await show_tenant(deps, actor.tenant)
    checklist = await deps.checklists.get(actor.tenant)
    return ShownItem(
        row(item, checklist, await _known(deps, tenant)),
        steps(item, tenant),
        PORTALS[tenant.cloud],
        INITIAL[tenant.cloud],
        tuple(each.name for each in tenant.domains),
    )


async def mark_item(deps: Dependencies, actor: Actor, name: str, *, domains: frozenset[str]) -> None:
    """Step 3: keep an administrator's word that it is done.

    `domains`: those that their page showed, so that one that was added meanwhile is not spoken for. What is marked
    already stays as it is, and is not recorded again. Raises Forbidden, NotFound (no such item, or one that is known
    here anyway), Unavailable.
    """
    now = deps.clock.now()
    actor.require(Act.MARK_CONFIGURATION, now)
    item, tenant = _item(name), await show_tenant(deps, actor.tenant)
    before = await deps.checklists.get(actor.tenant)
    if not row(item, before, await _known(deps, tenant)).may_be_marked:
        raise NotFound
    spoken_for = tuple(each.name for each in tenant.domains if each.name in domains)
    mark = Mark(
        id=new_id(deps.ids),
        item=item.value,
        administrator=actor.administrator,
        name=actor.name,
        at=now,
        domains=spoken_for if RULES[item].each_domain else (),
    )
    if before.marked(mark) is before:
        return
    async with recorded(deps, actor, Act.MARK_CONFIGURATION, subject_id=item.value, subject=item.value):
        await deps.checklists.change(actor.tenant, lambda checklist: checklist.marked(mark))


async def take_back_mark(deps: Dependencies, actor: Actor, name: str, mark: str) -> None:
    """Step 4: the item is not known to be done any more. `mark`: the id of the one that the page showed.

    Raises Forbidden, NotFound (no such item, or no mark), Conflict (somebody set another one since), Unavailable.
    """
    actor.require(Act.UNMARK_CONFIGURATION, deps.clock.now())
    item = _item(name)
    await show_tenant(deps, actor.tenant)
    (await deps.checklists.get(actor.tenant)).taken_back(item, mark)
    async with recorded(deps, actor, Act.UNMARK_CONFIGURATION, subject_id=item.value, subject=item.value):
        await deps.checklists.change(actor.tenant, lambda checklist: checklist.taken_back(item, mark))


def _item(name: str) -> Item:
    try:
        return Item(name)
    except ValueError as error:
        raise NotFound from error


async def _known(deps: Dependencies, tenant: Tenant) -> Known:
    certificates = await deps.certificates.of(tenant.slug)
    connection = await deps.directory.connection(tenant.slug)
    checked = None if connection is None else connection.checked
    used = {each.name: await deps.first_uses.of(tenant.slug, each.name) for each in tenant.domains}
    return Known(
        tenant=tenant,
        used={name: found for name, found in used.items() if found is not None},
        has_certificate=certificates is not None,
        certificate_until=None if certificates is None else certificate_facts(certificates.current).not_after,
        now=deps.clock.now(),
        # Empty without the permission, and a directory has at least its initial domain.
        verified=Verified(frozenset(checked.domains), checked.at) if checked and checked.domains else None,
    )
