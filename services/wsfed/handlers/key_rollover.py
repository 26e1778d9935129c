"""Roll-over of a tenant's token-signing key (docs/flows/key-roll-over.md). Entra must be told at each step.

The command line calls the steps by name; the console's come as a command (`advance_keys`) and take the same functions.

Entra accepts a token signed by signingCertificate or nextSigningCertificate. So the next certificate is made known
before it signs, and the old one is forgotten only after the new one has signed.
"""

from datetime import timedelta

import structlog

from services.wsfed.handlers.common import find_tenant
from services.wsfed.ports import Dependencies, KeyRing
from shared.bus.port import Reject
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.wsfed import AdvanceKeys
from shared.errors import Conflict, NotFound

log = structlog.get_logger(__name__)

NOTICE = timedelta(hours=24)
"""How long the next certificate should have been known before it signs: Entra's settings take a while everywhere."""


async def show_keys(deps: Dependencies, tenant: str) -> KeyRing:
    """The tenant's certificates. Raises NotFound."""
    await find_tenant(deps, tenant)
    return await deps.keys.ring(tenant)


async def _shown(deps: Dependencies, tenant: str, version: int | None) -> KeyRing:
    """The certificates, if they are those that somebody decided on. Raises Conflict, NotFound."""
    ring = await show_keys(deps, tenant)
    if version is not None and ring.version != version:
        raise Conflict("wsfed.key.changed")
    return ring


async def next_key(deps: Dependencies, tenant: str, *, version: int | None = None) -> KeyRing:
    """Step 1: make the next key and publish its certificate. Then set nextSigningCertificate in Entra.

    `version`, here and below: of the certificates that whoever asks has seen; None: as they are now. Raises Conflict.
    """
    ring = await _shown(deps, tenant, version)
    if ring.next is None and not await deps.keys.add_next(tenant, ring.version):
        raise Conflict("wsfed.key.next_made")
    return await deps.keys.ring(tenant)


async def switch_key(
    deps: Dependencies, tenant: str, *, at_once: bool = False, version: int | None = None
) -> KeyRing:
    """Step 2: sign with the next key. Raises Conflict when there is none, or when it is not known long enough."""
    ring = await _shown(deps, tenant, version)
    if ring.next is None or ring.next_since is None:
        raise Conflict("wsfed.key.no_next")
    if ring.previous is not None:
        raise Conflict("wsfed.key.not_finished")
    waited = deps.clock.now() - ring.next_since
    if waited < NOTICE and not at_once:
        raise Conflict("wsfed.key.too_new", waited=_hours(waited), notice=_hours(NOTICE))
    if not await deps.keys.switch(tenant, ring.version):
        raise Conflict("wsfed.key.switched")
    return await deps.keys.ring(tenant)


async def promote_key(deps: Dependencies, tenant: str, *, version: int | None = None) -> KeyRing:
    """Step 3: forget the previous key. Before it, set signingCertificate in Entra to the one that signs now."""
    ring = await _shown(deps, tenant, version)
    if ring.previous is None:
        raise Conflict("wsfed.key.no_previous")
    if not await deps.keys.drop_previous(tenant, ring.version):
        raise Conflict("wsfed.key.changed")
    return await deps.keys.ring(tenant)


async def advance_keys(deps: Dependencies, received: VerifiedMessage[AdvanceKeys]) -> None:
    """`wsfed.keys.advance.v1`: one of the steps, as the console asks for it.

    What is refused changes nothing and is not said to anybody: admin sees that the certificates stay as they are.
    Raises Reject for a tenant that there is not, Unavailable.
    """
    command, tenant = received.message, received.tenant
    try:
        match command.step:
            case "next":
                await next_key(deps, tenant, version=command.version)
            case "switch":
                await switch_key(deps, tenant, at_once=command.at_once, version=command.version)
            case "promote":
                await promote_key(deps, tenant, version=command.version)
    except NotFound as error:
        raise Reject("no such tenant") from error
    except Conflict as refusal:
        log.warning("keys.not_advanced", tenant=tenant, step=command.step, why=refusal.id)
        return
    log.info("keys.advanced", tenant=tenant, step=command.step)


async def emergency_keys(deps: Dependencies, tenant: str) -> KeyRing:
    """After a compromise: two new keys at once, all others destroyed.

    Sign-ins fail from now until Entra has both. Entra remembers the one before, so roll over once more afterwards
    (switch, set it in Entra, promote): only then is the stolen key worthless.
    """
    await show_keys(deps, tenant)
    await deps.keys.replace_all(tenant)
    return await deps.keys.ring(tenant)


def _hours(span: timedelta) -> str:
    return f"{int(span.total_seconds() // 3600)} hours"
