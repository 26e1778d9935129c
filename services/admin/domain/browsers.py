"""Browsers in which people are known, as wsfed announces them. Pure."""

from dataclasses import dataclass
from datetime import datetime

from services.admin.domain.accounts import Account, AccountId


@dataclass(frozen=True, slots=True)
class Browser:
    """One account in one browser. The times are days; `method` and `agent` are wsfed's words."""

    id: str
    tenant: str
    account: AccountId
    session_epoch: int
    agent: str
    method: str
    device: str
    first_seen: datetime
    known_since: datetime
    last_seen: datetime
    known_until: datetime
    removed: bool
    seen_version: int
    """The version that wsfed gave this state: a removal names it."""

    def known_to(self, account: Account, now: datetime) -> bool:
        """Whether the account is known there now, as far as admin can say: not removed, not forgotten, and not from
        before the person was signed out everywhere. That the device is still in use is asked elsewhere.
        """
        return not self.removed and now < self.known_until and self.session_epoch == account.session_epoch
