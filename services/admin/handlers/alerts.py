"""Step 7 of docs/flows/sign-in-figures.md: mails to owners and administrators about what they should look at."""

from collections import Counter

import structlog

from services.admin.domain.alerts import MAX_IN_A_MAIL, NAMED, TOLD, Alert
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.notify import AlertLine
from shared.errors import NotFound
from shared.ids import new_id
from shared.text import clean_line

log = structlog.get_logger(__name__)

SEND_EVERY = 5.0
"""Seconds between two looks for alerts that nobody was told of."""
MAX_NAME = 64


async def send_alerts(deps: Dependencies) -> int:
    """Tell each tenant's administrators what they have not been told, if their last mail is long enough ago.

    Returns how many tenants were written to. It may be done by several replicas at once and be interrupted anywhere: a
    mail goes out once. Raises Unavailable.
    """
    sent, tenant = 0, ""
    while (found := await deps.alerts.next_tenant(tenant)) is not None:
        tenant = found
        sent += await _send(deps, tenant)
    return sent


async def _send(deps: Dependencies, tenant: str) -> bool:
    before, now = await deps.alerts.mails(tenant), deps.clock.now()
    # Marked before the rest is read: a process may have been killed between its mail and this.
    await deps.alerts.mark_mailed(before.about)
    if not before.may_send(now):
        return False
    waiting = await deps.alerts.unmailed(tenant, MAX_IN_A_MAIL + 1)
    alerts, more = waiting[:MAX_IN_A_MAIL], len(waiting) > MAX_IN_A_MAIL
    if not alerts:
        return False
    after = before.sent(alerts, now)
    try:
        organisation = (await show_tenant(deps, tenant)).name
    except NotFound:
        organisation = tenant
    team = await deps.teams.get(tenant)
    told = [each for each in team.members if each.role in TOLD]
    lines = tuple([await _line(deps, alert) for alert in alerts[:NAMED]])
    counts = Counter(each.kind for each in alerts)
    messages = [
        deps.alert_mail_message(
            tenant,
            f"alerts-{new_id(deps.ids)}",
            to=member,
            language=await deps.language_of(member),
            organisation=organisation,
            counts=counts,
            lines=lines,
            more=more,
        )
        for member in told
    ]
    if not await deps.alerts.send(before, after, messages):
        return False
    await deps.alerts.mark_mailed(after.about)
    log.info("alerts.sent", tenant=tenant, alerts=len(alerts), administrators=len(told))
    return True


async def _line(deps: Dependencies, alert: Alert) -> AlertLine:
    account = await deps.accounts.get(alert.tenant, alert.account)
    return AlertLine(
        kind=alert.kind,
        at=alert.at,
        upn=clean_line(account.upn if account else alert.account, 120),
        detail=clean_line(alert.detail, MAX_NAME),
        reason=alert.reason,
    )


async def alerts_for_ever(deps: Dependencies) -> None:
    """`send_alerts` for ever. Raises Unavailable."""
    while True:
        await deps.clock.sleep(SEND_EVERY)
        await send_alerts(deps)
