"""The chart of the Overview: the places of its columns, as a template draws them in SVG. Pure.

The drawing is stretched to the width of its place, so it has no text of its own; numbers and days beside it are HTML.
Its units are a hundredth of a column's width, and a thousandth of the height.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.admin.domain.sign_ins import GROUPS, Column, Figures

HEIGHT = 1000
STEP = 100
BAR = 72
"""Width of a column; the rest of its step is the gap to the next."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column: how many attempts of that group there were."""

    group: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    """A column with its parts, from the bottom up."""

    x: int
    column: Column
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The drawing. `top`: how many attempts its full height stands for."""

    top: int
    width: int
    columns: tuple[DrawnColumn, ...]
    present: tuple[str, ...]
    """Groups that there are any of."""

    @property
    def height(self) -> int:
        return HEIGHT

    @property
    def bar(self) -> int:
        return BAR

    @property
    def middle(self) -> int:
        """What half the height stands for. `top` is even."""
        return self.top // 2


def scale_for(highest: int) -> int:
    """The least round number that is no less, and whose half is whole: 2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 80, ..."""
    size = 1
    while True:
        for step in (2, 3, 4, 5, 6, 8, 10):
            if step * size >= highest and step * size % 2 == 0:
                return step * size
        size *= 10


def chart_of(figures: Figures) -> Chart:
    """The chart of these figures."""
    top = scale_for(max((column.total for column in figures.columns), default=0))
    columns = tuple(
        DrawnColumn(number * STEP + (STEP - BAR) // 2, column, _bars(column.groups, top))
        for number, column in enumerate(figures.columns)
    )
    present = tuple(group for group in GROUPS if figures.totals.get(group))
    return Chart(top, max(1, len(columns)) * STEP, columns, present)


def _bars(groups: Mapping[str, int], top: int) -> tuple[Bar, ...]:
    bars, below = [], 0
    for group in GROUPS:
        count = groups.get(group, 0)
        if not count:
            continue
        low, high = HEIGHT * below // top, HEIGHT * (below + count) // top
        # One of many must be seen, too.
        height = max(high - low, HEIGHT // 100)
        bars.append(Bar(group, HEIGHT - low - height, height))
        below += count
    return tuple(bars)
