"""What "Not me" freezes: notifications that unknown browsers ask for. Pure.

Each "Not me" begins a freeze of its own name, also while another is in force. So whoever ends the one that they saw
leaves alone one that has begun since.
"""

from dataclasses import replace
from datetime import datetime

from services.approval.domain.account import Account, Change
from shared.contracts.approval import FreezeChanged
from shared.contracts.envelope import OutgoingMessage

UNNAMED = "earlier"
"""The name of a freeze that began before freezes had names."""


def begin(account: Account, challenge: str, now: datetime) -> Change:
    """Freeze. `challenge`: the request that was reported; it names the freeze."""
    frozen_at = account.frozen_at or now
    return _changed(replace(account, frozen_at=frozen_at, freeze=challenge), _version(account))


def end(account: Account, freeze: str | None = None) -> Change | None:
    """End the freeze, by default whichever there is; None when there is none, or only another one than was named."""
    if account.frozen_at is None or freeze not in (None, _name(account)):
        return None
    return _changed(replace(account, frozen_at=None, freeze=""), _version(account))


def state(account: Account) -> FreezeChanged | None:
    """What followers are to know; None of an account in which nothing was ever frozen."""
    version = _version(account)
    if version == 0:
        return None
    return FreezeChanged(version=version, account=account.id, freeze=_name(account), since=account.frozen_at)


def _changed(account: Account, before: int) -> Change:
    account = replace(account, freeze_version=before + 1)
    told = state(account)
    assert told is not None
    return Change(account, (OutgoingMessage(told, account.tenant),))


def _name(account: Account) -> str:
    return "" if account.frozen_at is None else account.freeze or UNNAMED


def _version(account: Account) -> int:
    """A freeze from before versions counts as the first change."""
    return account.freeze_version or int(account.frozen_at is not None)
