"""Token-signing keys in the console: what is published, and the roll-over, docs/flows/key-roll-over.md step by step."""

from dataclasses import dataclass
from datetime import datetime

from services.admin.domain.federation import Certificates, Federation, federation_of
from services.admin.domain.roles import Act, Actor
from services.admin.domain.signing_keys import KeyRequest, KeyStep, check_step, due_step, switch_from
from services.admin.handlers.recording import recorded
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.wsfed import AdvanceKeys
from shared.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownKeys:
    """A tenant's certificates, and how far their roll-over has come."""

    certificates: Certificates
    due: KeyStep
    switch_from: datetime | None
    """From when on the next key may sign; None where there is none."""
    waits: bool
    """Whether the next key is too new to sign, unless somebody says that Entra has it."""
    pending: KeyRequest | None
    """What wsfed has been asked for a moment ago."""
    unconfirmed: KeyRequest | None
    """What it was asked for longer ago, without anything having come of it."""
    federations: tuple[Federation, ...]


async def show_keys(deps: Dependencies, actor: Actor) -> ShownKeys | None:
    """None while wsfed has not said what the certificates are. Raises Forbidden, NotFound."""
    actor.require(Act.SEE_KEYS, deps.clock.now())
    tenant, certificates = await show_tenant(deps, actor.tenant), await deps.certificates.of(actor.tenant)
    if certificates is None:
        return None
    now, requests = deps.clock.now(), await deps.key_requests.get(actor.tenant)
    pending, ready = requests.pending(certificates.version, now), switch_from(certificates)
    return ShownKeys(
        certificates=certificates,
        due=due_step(certificates),
        switch_from=ready,
        waits=certificates.next is not None and (ready is None or now < ready),
        pending=pending,
        unconfirmed=None if pending is not None else requests.unconfirmed(certificates.version),
        federations=tuple(
            federation_of(tenant, each.name, certificates, origin=deps.origin) for each in tenant.domains
        ),
    )


async def take_step(deps: Dependencies, actor: Actor, step: KeyStep, *, version: int, at_once: bool) -> None:
    """Ask wsfed for a step, of the certificates of that version. Pressed twice it is asked once.

    The order is wsfed's to keep. `at_once`: the administrator says that Entra has the next certificate. Raises
    Forbidden, StepUpNeeded, Conflict (changed meanwhile, not due, too new, or another administrator was first),
    Unavailable.
    """
    now = deps.clock.now()
    actor.require(Act.ROLL_KEYS, now)
    certificates = await deps.certificates.of(actor.tenant)
    if certificates is None:
        raise Unavailable("admin.key.unknown")
    request = KeyRequest(step, version, now, actor.administrator, actor.name)
    requests = await deps.key_requests.get(actor.tenant)
    if requests.repeats(request, certificates):
        return
    check_step(certificates, step, version=version, at_once=at_once, now=now)
    requests.asked(request)  # another administrator may have been first
    at_once = at_once and step is KeyStep.SWITCH
    async with recorded(
        deps,
        actor,
        Act.ROLL_KEYS,
        subject_id=actor.tenant,
        subject=(await show_tenant(deps, actor.tenant)).name,
    ) as record:
        record.after = {"key_step": step.value, **({"at_once": "yes"} if at_once else {})}
        command = OutgoingMessage(
            AdvanceKeys(step=step.value, version=version, at_once=at_once), actor.tenant
        )
        await deps.key_requests.change(actor.tenant, lambda before: before.asked(request), command)
