"""What "Not me" freezes: notifications that unknown browsers ask for, and those of the browser that was refused. Pure.

Each "Not me" begins a freeze of its own name, also while another is in force. So whoever ends the one that they saw
leaves alone one that has begun since.
"""

from dataclasses import replace
from datetime import datetime

from services.approval.domain.account import Account, Challenge, Change
from shared.contracts.approval import FreezeChanged
from shared.contracts.envelope import OutgoingMessage

MAX_BROWSERS = 20
UNNAMED = "earlier"
"""The name of a freeze that began before freezes had names."""


def begin(account: Account, challenge: Challenge, now: datetime) -> Change:
    """Freeze. `challenge`: the request that was reported; it names the freeze.

    Its browser is frozen by name if it is a known one: somebody else may have that browser's cookies. The names are
    few, because each takes a report by one of the person's own phones; beyond `MAX_BROWSERS` the oldest gives way.
    """
    browsers = account.frozen_browsers
    if challenge.browser_known:
        reported = _browser(challenge)
        browsers = (*(each for each in browsers if each != reported), reported)[-MAX_BROWSERS:]
    frozen = replace(
        account, frozen_at=account.frozen_at or now, freeze=challenge.id, frozen_browsers=browsers
    )
    return _changed(frozen, _version(account))


def silences(account: Account, challenge: Challenge) -> bool:
    """Whether a freeze stops the notification of this request. The request itself is listed all the same."""
    if account.frozen_at is None:
        return False
    return not challenge.browser_known or _browser(challenge) in account.frozen_browsers


def _browser(challenge: Challenge) -> str:
    """By which a known browser is frozen: whoever has its cookies cannot be known without this id."""
    return challenge.known_as or challenge.browser


def end(account: Account, freeze: str | None = None) -> Change | None:
    """End the freeze, by default whichever there is; None when there is none, or only another one than was named."""
    if account.frozen_at is None or freeze not in (None, _name(account)):
        return None
    return _changed(replace(account, frozen_at=None, freeze="", frozen_browsers=()), _version(account))


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
