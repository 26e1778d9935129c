"""Steps 2 to 4 of docs/flows/sign-in-figures.md: count the attempts that have ended, behind the sign-ins."""

from collections import defaultdict
from collections.abc import Sequence

from services.wsfed.domain.sign_in_figures import Attempt, AttemptOutcome, Uncounted, day_of
from services.wsfed.ports import Dependencies

COUNT_EVERY = 2.0
"""Seconds between two looks while there is nothing to count."""
BATCH = 100
"""Transactions that are counted at once."""


async def count_sign_ins(deps: Dependencies) -> int:
    """Count what is due, at most `BATCH` transactions; how many there were. Raises Unavailable.

    It may be done by several replicas at once and be interrupted anywhere: every attempt is counted once.
    """
    due = await deps.transactions.uncounted(deps.clock.now(), BATCH)
    listed = defaultdict[tuple[str, str], list[Attempt]](list)
    days = defaultdict[tuple[str, str], list[tuple[str, Attempt]]](list)
    for seen in due:
        for attempt in seen.attempts:
            days[attempt.tenant, day_of(attempt)].append((seen.transaction, attempt))
            if attempt.account is not None and attempt.outcome is not AttemptOutcome.NO_ACCOUNT:
                listed[attempt.tenant, attempt.account].append(attempt)
    for (tenant, account), attempts in listed.items():
        await deps.figures.list_attempts(tenant, account, attempts)
    counted: set[str] = set()
    for (tenant, day), wanted in days.items():
        counted |= await _count_day(deps, tenant, day, wanted)
    for seen in due:
        await deps.transactions.mark_counted(
            seen, [attempt.id for attempt in seen.attempts if attempt.id in counted]
        )
    return len(due)


async def _count_day(
    deps: Dependencies, tenant: str, day: str, wanted: Sequence[tuple[str, Attempt]]
) -> set[str]:
    """Step 3: add these attempts to the day's counts; the ids of those that are counted now, by whomever.

    The row is read before the transactions are read again, and written only if nobody has written it since. So what
    is still unmarked in them is in no count, unless the row itself names it as just counted.
    """
    before = await deps.figures.day(tenant, day)
    transactions = {transaction for transaction, _ in wanted} | set(before.just_counted.values())
    now = await deps.transactions.uncounted_of(transactions, deps.clock.now())
    counted = set[str]()
    for seen in now:  # a process was killed before it marked these, or is about to
        mine = [attempt.id for attempt in seen.attempts if attempt.id in before.just_counted]
        if mine:
            await _mark(deps, seen, mine)
            counted |= set(mine)
    unmarked = {attempt.id for seen in now for attempt in seen.attempts} - counted
    new = [(transaction, attempt) for transaction, attempt in wanted if attempt.id in unmarked]
    counted |= {attempt.id for _, attempt in wanted if attempt.id not in unmarked}
    if new and await deps.figures.write_day(before, before.counted(new)):
        counted |= {attempt.id for _, attempt in new}
    return counted


async def _mark(deps: Dependencies, seen: Uncounted, attempts: Sequence[str]) -> None:
    await deps.transactions.mark_counted(seen, attempts)


async def count_for_ever(deps: Dependencies) -> None:
    """`count_sign_ins` for ever, at once again while there is more than it takes. Raises Unavailable."""
    while True:
        if await count_sign_ins(deps) < BATCH:
            await deps.clock.sleep(COUNT_EVERY)
