"""Who administers them, their sessions, and what they did."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from services.admin.domain.administrators import Administrator, ConsoleSession
from services.admin.domain.changes import Change
from services.admin.domain.configuration import Checklist
from services.admin.domain.teams import Team
from shared.contracts.envelope import OutgoingMessage


class Administrators(Protocol):
    """Administrators with their passkeys."""

    async def add(self, administrator: Administrator) -> bool:
        """Keep a new one. False when the id or a passkey of it is taken."""
        ...

    async def get(self, administrator: str) -> Administrator | None: ...

    async def by_passkey(self, credential_id: str) -> Administrator | None: ...

    async def change(
        self, administrator: str, step: Callable[[Administrator], Administrator]
    ) -> Administrator | None:
        """The administrator after `step`. None: there is no such one. Raises what `step` raises; NotUnique when a
        passkey is another administrator's; Unavailable when others were first each time.
        """
        ...

    async def remove(self, administrator: str) -> None: ...


class Teams(Protocol):
    """Teams by tenant. A tenant without a document has an empty one."""

    async def get(self, tenant: str) -> Team: ...

    async def change(self, tenant: str, step: Callable[[Team], Team], *messages: OutgoingMessage) -> Team:
        """The team after `step`, written with those messages too.

        Raises what `step` raises; Unavailable when others were first each time.
        """
        ...

    async def of(self, administrator: str) -> Sequence[Team]:
        """Every team that this administrator is a member of, by the tenant's slug. Whole."""
        ...

    async def page(self, after: str, limit: int) -> Sequence[Team]:
        """Teams whose tenant's slug comes after `after`, in that order."""
        ...


class ConsoleSessions(Protocol):
    """Sessions of administrators by the digest of their secret."""

    async def add(self, session: ConsoleSession) -> None: ...

    async def get(self, digest: str) -> ConsoleSession | None: ...

    async def seen(self, digest: str, at: datetime) -> None:
        """Write down that something was asked in it."""
        ...

    async def proven(self, digest: str, at: datetime) -> None:
        """Write down that a passkey was used in it."""
        ...

    async def of(self, administrator: str) -> Sequence[ConsoleSession]:
        """All of that administrator, ended ones too while they are kept; the one that began last first."""
        ...

    async def end(self, administrator: str, session: str) -> bool:
        """Remove the session with that id. False when there is none of that administrator."""
        ...

    async def end_others(self, administrator: str, kept: str) -> int:
        """Remove all of that administrator but the one with that id; how many they were."""
        ...

    async def end_all(self) -> int:
        """Remove the sessions of all administrators; how many they were."""
        ...


class UsedChallenges(Protocol):
    """Challenges over which a signature verified."""

    async def spend(self, challenge: bytes, now: datetime) -> bool:
        """Write it down. False when it is there already."""
        ...


class Changes(Protocol):
    """What administrators did. Nothing is removed."""

    async def add(self, change: Change) -> None: ...

    async def finish(self, change: Change) -> None:
        """Write what became of one that was begun: its outcome, subject and values, and nothing else."""
        ...

    async def page(
        self, tenant: str, *, subject: str | None = None, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Change]:
        """Changes from before that moment (and id), the latest first; of everything, or of one subject's id."""
        ...


class Checklists(Protocol):
    """What administrators said of their Microsoft 365, by tenant. A tenant without a document has said nothing."""

    async def get(self, tenant: str) -> Checklist: ...

    async def change(self, tenant: str, step: Callable[[Checklist], Checklist]) -> Checklist:
        """The checklist after `step`; nothing is written when `step` returns what it was given.

        Raises what `step` raises; Unavailable when others were first each time.
        """
        ...
