"""What the handlers need, each as narrow as it can be."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from services.approval.domain.account import Account
from services.approval.domain.ceremony import RelyingParty
from shared.clock import Clock
from shared.contracts.admin import TenantConfigured
from shared.contracts.envelope import MessageSigner, SignedMessage, VerifiedMessage
from shared.crypto.sealed_box import Sealer
from shared.geoip import Country
from shared.ids import Ids


@dataclass(frozen=True, slots=True)
class Stored:
    """An account as it was read. `revision` guards the write; 0: it does not exist yet."""

    account: Account
    revision: int


class Accounts(Protocol):
    """One document for each account."""

    async def load(self, tenant: str, account: str) -> Stored | None: ...

    async def by_credential(self, credential_id: str) -> Stored | None: ...

    async def by_invitation(self, invitation: str) -> Stored | None: ...

    async def by_handle(self, handle_digest: str) -> Stored | None:
        """The account with an open QR challenge of that handle."""
        ...

    async def overdue(self, now: datetime, limit: int) -> Sequence[Stored]:
        """Accounts with an open challenge past its deadline, the latest first."""
        ...

    async def save(
        self, before: Stored, after: Account, outbox: Sequence[SignedMessage], *, confirm: bool = False
    ) -> bool:
        """One conditional write. False: somebody wrote since `before` was read, nothing happened.

        `confirm`: admin says that the account is there (docs/flows/replication.md, step 10).
        """
        ...

    async def confirm(self, tenant: str, account: str) -> None:
        """A full pull says of the account what is known already."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """A phone's session, made by an assertion."""

    token_digest: str
    tenant: str
    account: str
    device: str
    seen_at: datetime
    expires_at: datetime


class Sessions(Protocol):
    """Sessions by the SHA-256 of their token."""

    async def add(self, session: Session) -> None: ...

    async def find(self, token_digest: str) -> Session | None: ...

    async def seen(self, token_digest: str, now: datetime) -> None: ...

    async def remove(self, token_digest: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A WebAuthn challenge that we gave out, once."""

    id: str
    kind: Literal["enrolment", "session"]
    challenge: bytes
    expires_at: datetime
    tenant: str = ""
    account: str = ""
    invitation: str = ""


class Ceremonies(Protocol):
    """Challenges that wait for their answer."""

    async def add(self, ceremony: Ceremony) -> None: ...

    async def find(self, ceremony_id: str) -> Ceremony | None:
        """It stays, for a day after it expired: as long as any invitation lives."""
        ...

    async def take(self, ceremony_id: str) -> Ceremony | None:
        """Remove it; only one caller gets it."""
        ...


class Tenants(Protocol):
    """Names of tenants, as admin tells them."""

    async def name(self, tenant: str) -> str | None: ...

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        """Keep it, unless a newer version is there."""
        ...


class Countries(Protocol):
    """Where addresses seem to be, as the operator's file has it. Approximate, and decides nothing."""

    def country(self, address: str, language: str) -> Country | None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things live."""

    session: timedelta = timedelta(hours=12)
    session_idle: timedelta = timedelta(hours=1)
    ceremony: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every handler works with."""

    accounts: Accounts
    sessions: Sessions
    ceremonies: Ceremonies
    tenants: Tenants
    clock: Clock
    ids: Ids
    signer: MessageSigner
    rp: RelyingParty
    letterbox: Sealer
    """Seals for notify."""
    push_key: str
    """notify's VAPID public key, base64url: what phones subscribe with."""
    places: Countries
    limits: Limits = Limits()
    turns: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)
    """Who writes to an account now, within this process."""
