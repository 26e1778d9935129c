"""Notices: what a person is told of their phones, once for each key, whoever says it first. Pure.

A notice goes to the address that admin has for the person, and to every one that was replaced less than
`FORMER_FOR` ago: whoever changes the address first, to hide what comes next, is not enough.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.notify import Contact, NoticeKind, NoticeMail
from shared.ids import b64u
from shared.text import clean_line

FORMER_FOR = timedelta(days=30)
"""How long a replaced address is still written to."""
MAX_FORMER = 5
"""How many replaced addresses are written to."""
LIFETIME = timedelta(days=2)
"""For how long the delivery of a notice is tried."""
ALONE_A_DAY = 3
"""Notices that approval's word alone brings about for an account in a day. It is not verified when it
comes, so a taken-over approval could fill a mailbox. What wsfed and admin say has no such limit.
"""
A_PLACE_FOR = timedelta(days=1)
"""How long such a notice keeps one of these places."""
TOGETHER = timedelta(hours=1)
"""Two services that say the same of a key within that time speak of one event, and it is told once."""
MAX_DEVICE = 64


@dataclass(frozen=True, slots=True)
class Addressee:
    """A person at one address."""

    contact: Contact
    former: bool = False
    """Whether another address has taken its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that a person is told."""

    tenant: str
    account: str
    key_sha256: str
    """Which key it is about: SHA-256 of the public key (DER SubjectPublicKeyInfo), base64url."""
    kind: NoticeKind
    device: str
    """What the phone calls itself; so anything at all."""
    said_by: str
    """The service that said it first."""
    at: datetime
    again: bool = False
    """Whether it is wsfed's or admin's word after approval's: see `announced_before`."""

    @property
    def id(self) -> str:
        """The same for the same key of the same account, whoever speaks of it. Another account's is another one."""
        text = "\0".join(
            (self.tenant, self.account, self.key_sha256, self.kind, *(["again"] if self.again else ()))
        )
        return b64u(hashlib.sha256(text.encode()).digest()[:16])


@dataclass(frozen=True, slots=True)
class Told:
    """That a notice was told."""

    said_by: str
    at: datetime


def announced_before(told: Told, at: datetime) -> bool:
    """Whether what approval's word has brought about was told long before another service said it.

    Then it does not stand for that: a taken-over approval could announce the key of a phone that is not
    enrolled yet, let it pass for a false alarm, and have it enrolled in silence later.
    """
    return at - told.at >= TOGETHER


def written(notice: Notice, to: Addressee, organisation: str) -> NoticeMail:
    """The mail to one address."""
    return NoticeMail(
        kind=notice.kind,
        to=to.contact.address,
        former=to.former,
        name=to.contact.name,
        language=to.contact.language,
        organisation=organisation,
        upn=to.contact.upn,
        device=clean_line(notice.device, MAX_DEVICE) or "?",
        at=notice.at,
    )


def mail_destination(address: str) -> str:
    """What deliveries to the same mail domain share: a digest, because a delivery holds no address."""
    domain = address.rpartition("@")[2].lower()
    return b64u(hashlib.sha256(domain.encode()).digest()[:9])
