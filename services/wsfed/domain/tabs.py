"""Several tabs of one browser (docs/flows/sign-in.md, "Several tabs").

Each tab has a transaction of its own. approval lets a browser have one open request for each account, so the one that
was asked for last is the only one that a phone can approve. A cookie says which that was. wsfed does not take
approval's word for it: a browser that is not known must see the same whether there is such an account or not, and
what approval says of a request depends on what has been done to it on the phone.

The cookie proves nothing. Whoever changes it changes only what the pages of their own browser say.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from services.wsfed.domain.transaction import Transaction, TransactionState

_VALUE = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9a-f]{16})\.([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class LastRequest:
    """The request to a phone that this browser asked for last. `at`: when, in milliseconds since 1970 (UTC)."""

    transaction: str
    name: str
    """Of the user name that it was asked for: the beginning of a SHA-256, 16 hex digits."""
    at: int

    @classmethod
    def of(cls, transaction: Transaction) -> Self | None:
        """That of the transaction, if it has one."""
        if transaction.challenge is None:
            return None
        return cls(transaction.id, _name_of(transaction), _millis(transaction.challenge.context.issued_at))

    @classmethod
    def read(cls, value: str | None) -> Self | None:
        """What the cookie says; None for anything that is not of the shape that we set."""
        found = _VALUE.fullmatch(value or "")
        return None if found is None else cls(found[1], found[2], int(found[3]))

    @property
    def value(self) -> str:
        """The cookie's value."""
        return f"{self.transaction}.{self.name}.{self.at}"


def continued_elsewhere(transaction: Transaction, last: LastRequest | None, now: datetime) -> bool:
    """Whether another tab has asked for the same name since: then what this one shows can be approved no more.

    A cookie that was sent before this transaction asked again says nothing about it.
    """
    mine = LastRequest.of(transaction)
    if last is None or mine is None or last.transaction == transaction.id or last.name != mine.name:
        return False
    return last.at >= mine.at and transaction.effective_state(now) is TransactionState.WAITING


def _name_of(transaction: Transaction) -> str:
    return hashlib.sha256(f"{transaction.tenant}\0{transaction.username}".encode()).hexdigest()[:16]


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
