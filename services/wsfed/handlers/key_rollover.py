"""Roll-over of a tenant's token-signing key (docs/flows/key-roll-over.md). Entra must be told at each step.

Entra accepts a token signed by signingCertificate or nextSigningCertificate. So the next certificate is made known
before it signs, and the old one is forgotten only after the new one has signed.
"""

from datetime import timedelta

from services.wsfed.handlers.common import find_tenant
from services.wsfed.ports import Dependencies, KeyRing
from shared.errors import Conflict

NOTICE = timedelta(hours=24)
"""How long the next certificate should have been known before it signs: Entra's settings take a while everywhere."""


async def show_keys(deps: Dependencies, tenant: str) -> KeyRing:
    """The tenant's certificates. Raises NotFound."""
    await find_tenant(deps, tenant)
    return await deps.keys.ring(tenant)


async def next_key(deps: Dependencies, tenant: str) -> KeyRing:
    """Step 1: make the next key and publish its certificate. Then set nextSigningCertificate in Entra."""
    ring = await show_keys(deps, tenant)
    if ring.next is None and not await deps.keys.add_next(tenant):
        raise Conflict("wsfed.key.next_made")
    return await deps.keys.ring(tenant)


async def switch_key(deps: Dependencies, tenant: str, *, at_once: bool = False) -> KeyRing:
    """Step 2: sign with the next key. Raises Conflict when there is none, or when it is not known long enough."""
    ring = await show_keys(deps, tenant)
    if ring.next is None or ring.next_since is None:
        raise Conflict("wsfed.key.no_next")
    if ring.previous is not None:
        raise Conflict("wsfed.key.not_finished")
    waited = deps.clock.now() - ring.next_since
    if waited < NOTICE and not at_once:
        raise Conflict("wsfed.key.too_new", waited=_hours(waited), notice=_hours(NOTICE))
    if not await deps.keys.switch(tenant):
        raise Conflict("wsfed.key.switched")
    return await deps.keys.ring(tenant)


async def promote_key(deps: Dependencies, tenant: str) -> KeyRing:
    """Step 3: forget the previous key. Before it, set signingCertificate in Entra to the one that signs now."""
    await show_keys(deps, tenant)
    if not await deps.keys.drop_previous(tenant):
        raise Conflict("wsfed.key.no_previous")
    return await deps.keys.ring(tenant)


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
