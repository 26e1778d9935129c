"""The roll-over of a tenant's token-signing key, as the console shows it and asks for it. Pure.

Steps: docs/flows/key-roll-over.md. The keys are wsfed's, and so is every decision: what is asked here again is asked so
that an administrator gets an answer at once.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.admin.domain.federation import Certificates
from shared.errors import Conflict

NOTICE = timedelta(hours=24)
"""How long the next certificate should have been known before it signs (`services.wsfed.handlers.key_rollover`)."""
PATIENCE = timedelta(seconds=30)
"""After that a step that wsfed has not confirmed may be asked for again."""


class KeyStep(StrEnum):
    """What can be asked of wsfed. The values stand in messages, in addresses and in records."""

    NEXT = "next"
    SWITCH = "switch"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A step that an administrator has asked for. `version`: of the certificates that they saw."""

    step: KeyStep
    version: int
    asked_at: datetime
    administrator: str
    name: str
    """The administrator's, at that time."""


@dataclass(frozen=True, slots=True)
class KeyRequests:
    """The last step that was asked for in a tenant."""

    tenant: str
    last: KeyRequest | None = None

    def asked(self, request: KeyRequest) -> "KeyRequests | None":
        """With another one; None when the same administrator has asked for just that a moment ago.

        Raises Conflict when another administrator has asked a moment ago: the second is told.
        """
        open_ = self.pending(request.version, request.asked_at)
        if open_ is None:
            return replace(self, last=request)
        if (open_.administrator, open_.step) == (request.administrator, request.step):
            return None
        raise Conflict("admin.key.asked", name=open_.name)

    def repeats(self, request: KeyRequest, certificates: Certificates) -> bool:
        """Whether this very request was made before, and has been followed or may be still: pressed twice."""
        last = self.last
        same = last is not None and (last.step, last.version, last.administrator) == (
            request.step,
            request.version,
            request.administrator,
        )
        return same and (
            certificates.version != request.version
            or self.pending(request.version, request.asked_at) is not None
        )

    def pending(self, version: int, now: datetime) -> KeyRequest | None:
        """The request that wsfed is at, while these are the certificates and it may still be expected to answer."""
        waits = self.unconfirmed(version)
        return waits if waits is not None and now - waits.asked_at < PATIENCE else None

    def unconfirmed(self, version: int) -> KeyRequest | None:
        """The request that was made of these very certificates: nothing has come of it so far."""
        return self.last if self.last is not None and self.last.version == version else None


def due_step(certificates: Certificates) -> KeyStep:
    """The step that comes next. A roll-over that has begun is finished before another one goes on."""
    if certificates.previous is not None:
        return KeyStep.PROMOTE
    return KeyStep.NEXT if certificates.next is None else KeyStep.SWITCH


def switch_from(certificates: Certificates) -> datetime | None:
    """From when on the next key may sign; None where there is none."""
    return None if certificates.next_since is None else certificates.next_since + NOTICE


def check_step(
    certificates: Certificates, step: KeyStep, *, version: int, at_once: bool, now: datetime
) -> None:
    """Raises Conflict: the certificates are others by now, the step is not due, or the next key is too new."""
    if certificates.version != version:
        raise Conflict("admin.key.changed")
    if step is not due_step(certificates):
        raise Conflict("admin.key.not_due")
    ready = switch_from(certificates)
    if step is KeyStep.SWITCH and not at_once and (ready is None or now < ready):
        raise Conflict("admin.key.too_new", code="too_new")
