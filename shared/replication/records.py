"""What a service has recorded of its pulls from one owner, and how that changes. Pure.

begin                    page, not the last
(nothing) ----------> question asked ---------------------> question asked (for the next page)
|     ^  |                                |
+-----+  | the last page                  | the last page
no answer in time v                               v
position moves on, the pull is over
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.contracts.envelope import Origin
from shared.contracts.state import StatePulled
from shared.store.port import Position

PULL_EVERY = timedelta(seconds=10)
"""Time from the beginning of one recent pull to the beginning of the next."""
FULL_PULL_EVERY = timedelta(days=1)
PATIENCE = (timedelta(seconds=15), timedelta(seconds=30), timedelta(seconds=60))
"""How long an answer may take before the same question is asked again: the first, second and every further time."""
MAX_TRIES = 5
"""Questions for a later page that found no answer, before the pull is begun anew: after 225 s, or 285 s at most."""
MAX_WAITS = 3
"""How often a page is asked for again because its items could not be handled, before they are passed over."""
MAX_REFUSED = 20
"""Items that a record names; `refused_count` counts all."""
ENDLESS_AFTER = timedelta(minutes=10)
"""A recent pull that lasts longer is worth a look: what it brings is old when it is complete."""


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull under way. `since`, `after` and `until` are those of the question whose answer is awaited."""

    request: str
    since: str
    began_at: datetime
    asked_at: datetime | None
    """When the question for the current page was asked. None means that it is asked at the next look, as in a
    daily pull, which does not hurry.
    """
    fence: Position
    """A position of the follower's own database, taken when the pull began: rows that were confirmed after it were
    brought by this pull or by events since.
    """
    hurried: bool = True
    """Whether the next page is asked for at once. A daily pull is not hurried."""
    after: str = ""
    until: str = ""
    tries: int = 0
    """How many questions for this page found no answer."""
    waits: int = 0
    """How many answers for this page could not be handled."""

    def awaits(self, page: StatePulled) -> bool:
        """Whether this is the page that was asked for. Any other is late, doubled or made up."""
        return (self.request, self.after) == (page.request, page.after) and self.until in ("", page.until)

    def is_due(self, now: datetime) -> bool:
        """Whether its question is to be asked (again). A time in the future counts as long ago."""
        if self.asked_at is None:
            return True
        return abs(now - self.asked_at) >= PATIENCE[min(self.tries + self.waits, len(PATIENCE) - 1)]

    def is_lost(self, now: datetime) -> bool:
        """Whether to begin anew instead of asking again. The owner refuses a cursor that it does not know: of the
        release before, or from whoever had its key meanwhile.
        """
        return bool(self.after) and self.tries >= MAX_TRIES and self.is_due(now)

    def asked(self, now: datetime) -> "Pull":
        """The pull after its question was asked at `now`."""
        return replace(self, asked_at=now, tries=self.tries + (self.asked_at is not None))

    def turned(self, page: StatePulled, now: datetime) -> "Pull":
        """The pull after that page, which is not the last one, was taken."""
        assert page.next is not None
        asked_at = now if self.hurried else None
        return replace(self, after=page.next, until=page.until, asked_at=asked_at, tries=0, waits=0)

    def failed(self, now: datetime) -> "Pull":
        """The pull after a page whose items could not be handled; that page is asked for again later."""
        return replace(self, asked_at=now, waits=self.waits + 1)


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that was passed over because its handler refuses it."""

    type: str
    tenant: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a follower has recorded about its pulls from one owner."""

    owner: str
    position: str = ""
    """A recent pull begins here: where the pull before the last had reached. Empty: no pull was complete yet."""
    ahead: str = ""
    """The position that the last complete pull had reached."""
    complete_at: datetime | None = None
    """When the last complete pull began."""
    heard_at: datetime | None = None
    """When the last page was received, of whichever pull."""
    asked_at: datetime | None = None
    """When the owner was asked for the first time."""
    full_at: datetime | None = None
    """When the last complete full pull began. None: one is wanted as soon as possible."""
    generation: int = 0
    recent: Pull | None = None
    full: Pull | None = None
    refused: tuple[Refused, ...] = ()
    """Items that were passed over in the full pull under way, or in the last one, and in recent pulls since."""
    refused_count: int = 0

    def recent_is_due(self, now: datetime) -> bool:
        """Whether a recent pull is to begin."""
        if self.recent is not None:
            return self.recent.is_lost(now)
        if not self.position:
            return False
        return self.complete_at is None or abs(now - self.complete_at) >= PULL_EVERY

    def full_is_due(self, now: datetime) -> bool:
        """Whether a full pull is to begin."""
        if self.full is not None:
            return self.full.is_lost(now)
        return self.full_at is None or abs(now - self.full_at) >= FULL_PULL_EVERY

    def pull(self, origin: Origin) -> Pull | None:
        """The pull of that kind that is under way."""
        return self.full if origin is Origin.FULL_PULL else self.recent

    def with_pull(self, origin: Origin, pull: Pull | None) -> "Subscription":
        """The subscription with this pull in the place of the one of its kind."""
        return replace(self, full=pull) if origin is Origin.FULL_PULL else replace(self, recent=pull)

    def begun(self, origin: Origin, pull: Pull) -> "Subscription":
        """The subscription after this pull began, with its first question asked."""
        first = self.asked_at if self.asked_at is not None else pull.began_at
        begun = replace(self.with_pull(origin, pull), asked_at=first)
        return replace(begun, refused=(), refused_count=0) if origin is Origin.FULL_PULL else begun

    def heard(self, origin: Origin, page: StatePulled, now: datetime) -> "Subscription":
        """With a page that came. One of a new generation means that everything is wanted anew: the full pull that is
        under way may hold pages of the generation before, unless this is its first page. Then it goes on, no longer
        calmly: it sets the position too, because that of the database before may lie in the future.
        """
        heard = replace(self, heard_at=now, generation=max(self.generation, page.generation))
        if page.generation == self.generation:
            return heard
        if origin is Origin.FULL_PULL and not page.after and self.full is not None:
            return replace(heard, full=replace(self.full, hurried=True))
        return replace(heard, full_at=None, full=None)

    def with_refused(self, items: tuple[Refused, ...]) -> "Subscription":
        """The subscription with these items recorded as passed over."""
        if not items:
            return self
        kept = (*self.refused, *items)[-MAX_REFUSED:]
        return replace(self, refused=kept, refused_count=self.refused_count + len(items))

    def completed(self, origin: Origin, page: StatePulled) -> "Subscription":
        """The subscription after the last page of a pull was taken.

        A recent pull moves the position on to where the one before it had reached, so that a write which had its
        timestamp before a fence and became visible after it is in the next one. When it ends before it begins, the
        position is not of the database that answers, and everything is wanted anew. The first full pull of all sets the
        position. A later one that was asked for (after a restore, by an operator) only moves it back, for the same
        reason, and because that of the database before may lie in the future; a daily one leaves it alone.
        """
        pull = self.pull(origin)
        assert pull is not None
        if origin is not Origin.FULL_PULL:
            moved = replace(self, position=self.ahead, ahead=page.until, complete_at=pull.began_at)
            if page.until < max(pull.since, self.ahead):
                moved = replace(moved, full_at=None, full=None)
            return moved.with_pull(origin, None)
        done = replace(self, full=None, full_at=pull.began_at)
        if pull.hurried:
            position, ahead = self.position or page.until, self.ahead or page.until
            done = replace(done, position=min(position, page.until), ahead=min(ahead, page.until))
        return done if done.complete_at is not None else replace(done, complete_at=pull.began_at)
