"""How sign-ins ended, as wsfed says it, in the form in which administrators look at it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from shared.contracts.wsfed import OutcomeCount

PERIODS = (7, 30, 90)
"""Days that the Overview can show."""
WEEKS_FROM = 60
"""From so many days on a column of the chart is a week: more columns than that are too thin on a phone."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "signed_in": ("signed_in",),
    "unanswered": ("unanswered",),
    "declined": ("denied", "wrong_code", "refused"),
    "not_me": ("not_me",),
}
"""What the chart tells apart, from the bottom to the top of a column: outcomes by group. `no_account` is in none."""
METHODS = ("blokkey_push", "blokkey_qr", "passkey", "blokbadge")


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What wsfed has counted for one day (UTC)."""

    day: date
    counts: Sequence[OutcomeCount]


@dataclass(frozen=True, slots=True)
class Column:
    """Attempts of a day, or of a week from `first` to `last`, by group."""

    first: date
    last: date
    groups: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.groups.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """Attempts of the last `days` days, today included."""

    days: int
    columns: tuple[Column, ...]
    """One for each day or week, the oldest first, empty ones too."""
    methods: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By method and group; a method that nobody used is left out."""
    totals: Mapping[str, int] = field(default_factory=dict)
    """By group."""
    no_account: int = 0
    """Requests for names that no account could answer for."""

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    @property
    def weekly(self) -> bool:
        return self.days >= WEEKS_FROM


def figures_of(counted: Iterable[DayCounts], today: date, days: int) -> Figures:
    """The figures of the `days` days that end today. Days outside of them are left out."""
    start = today - timedelta(days=days - 1)
    by_day: dict[date, Counter[str]] = {}
    methods: dict[str, Counter[str]] = {}
    no_account = 0
    group_of = {outcome: group for group, outcomes in GROUPS.items() for outcome in outcomes}
    for each in counted:
        if not start <= each.day <= today:
            continue
        for said in each.counts:
            group = group_of.get(said.outcome)
            if group is None:
                no_account += said.count
                continue
            by_day.setdefault(each.day, Counter())[group] += said.count
            methods.setdefault(said.method, Counter())[group] += said.count
    width = 7 if days >= WEEKS_FROM else 1
    columns = []
    last = today
    while last >= start:
        first = max(start, last - timedelta(days=width - 1))
        within = [counts for day, counts in by_day.items() if first <= day <= last]
        columns.append(Column(first, last, {group: sum(each[group] for each in within) for group in GROUPS}))
        last = first - timedelta(days=1)
    return Figures(
        days=days,
        columns=tuple(reversed(columns)),
        methods={
            method: {group: methods[method][group] for group in GROUPS}
            for method in METHODS
            if method in methods
        },
        totals={group: sum(each.groups[group] for each in columns) for group in GROUPS},
        no_account=no_account,
    )
