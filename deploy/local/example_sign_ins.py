"""History of sign-ins for the example organisation: counts of two months, and the last ones of people with a phone.

wsfed's own rows are written, as if somebody had signed in; there is no transaction and no token behind them. A day that
has counts already keeps them, so it can be repeated.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from deploy.local.running_system import RunningSystem
from services.admin.domain.accounts import Account
from services.wsfed.domain.authentication import Method
from services.wsfed.domain.sign_in_figures import Attempt, AttemptOutcome, DayFigures
from services.wsfed.ports import FirstUses, SignInFigures

DAYS = 60
AGENTS = ("Edge on Windows", "Chrome on Windows", "Safari on macOS", "Safari on iPhone", "Firefox on Windows")
PUSH, QR, PASSKEY = Method.BLOKKEY_PUSH.value, Method.BLOKKEY_QR.value, Method.PASSKEY.value
_SPREAD = 2654435761
"""A multiplier that makes numbers look uneven, the same ones at every start (Knuth, The Art of Computer Programming,
volume 3, section 6.4).
"""


def figures_of(running_system: RunningSystem) -> SignInFigures | None:
    """wsfed's, where it runs in this process."""
    wired = None if running_system.system is None else running_system.system.wired.get("wsfed")
    return None if wired is None else wired.dependencies.figures


def first_uses_of(running_system: RunningSystem) -> FirstUses | None:
    """wsfed's, where it runs in this process."""
    wired = None if running_system.system is None else running_system.system.wired.get("wsfed")
    return None if wired is None else wired.dependencies.first_uses


def note_first_use(first_uses: FirstUses, tenant: str, domain: str, now: datetime) -> None:
    """Somebody of the domain signed in on the first of those days. What was noted before stays."""
    first_uses.note(tenant, domain, now - timedelta(days=DAYS), signed_in=True)


async def write_days(figures: SignInFigures, tenant: str, now: datetime) -> None:
    """Counts of the last two months, today left out."""
    for ago in range(1, DAYS + 1):
        day = (now - timedelta(days=ago)).date()
        before = await figures.day(tenant, day.isoformat())
        if before.version:
            continue
        counts = {key: count for key, count in _counts(ago, day.weekday()).items() if count}
        after = DayFigures(tenant=tenant, day=before.day, counts=counts, version=1)
        await figures.write_day(before, after)


def _counts(ago: int, weekday: int) -> dict[str, int]:
    people = 14 if weekday >= 5 else 190
    uneven = _uneven(ago, 20)
    return {
        f"{PUSH}/signed_in": people * 6 // 10 + uneven,
        f"{QR}/signed_in": people // 10 + uneven // 4,
        f"{PASSKEY}/signed_in": people * (70 - ago) // 200,
        f"{PUSH}/unanswered": people // 30 + uneven // 6,
        f"{PUSH}/denied": uneven // 7,
        f"{PUSH}/wrong_code": uneven // 12,
        f"{PUSH}/not_me": int(ago in (2, 17, 41)),
        f"{PASSKEY}/refused": uneven // 15,
        f"{PUSH}/no_account": uneven // 5,
    }


async def write_person(
    figures: SignInFigures, account: Account, now: datetime, number: int, *, not_me: bool
) -> None:
    """The last sign-ins of one person. `not_me`: one of them was somebody else's."""
    attempts = [_attempt(account, now, number, back) for back in range(6 + _uneven(number, 20))]
    if not_me:
        attempts.append(
            Attempt(
                id=f"example-{account.id}-not-me",
                at=now - timedelta(days=2, hours=3),
                tenant=account.tenant,
                account=account.id,
                method=Method.BLOKKEY_PUSH,
                outcome=AttemptOutcome.NOT_ME,
                agent="Chrome on Linux",
                application="Microsoft 365",
            )
        )
    await figures.list_attempts(account.tenant, account.id, attempts)


def _attempt(account: Account, now: datetime, number: int, back: int) -> Attempt:
    uneven = _uneven(number * 31 + back, 100)
    outcomes: Sequence[AttemptOutcome] = (AttemptOutcome.SIGNED_IN,) * 8 + (
        AttemptOutcome.UNANSWERED,
        AttemptOutcome.DENIED,
    )
    return Attempt(
        id=f"example-{account.id}-{back}",
        at=now - timedelta(days=back + 1, minutes=uneven * 5),
        tenant=account.tenant,
        account=account.id,
        method=(Method.BLOKKEY_PUSH, Method.BLOKKEY_PUSH, Method.PASSKEY)[number % 3],
        outcome=outcomes[uneven % len(outcomes)],
        agent=AGENTS[(number + back // 9) % len(AGENTS)],
        application="Microsoft 365",
    )


def _uneven(number: int, below: int) -> int:
    return number * _SPREAD % 2**32 * below >> 32
