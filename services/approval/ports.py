"""What approval's handlers need: `Dependencies`, and the narrow protocols in it, which `store.py` implements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from services.approval.domain.account import Account, Change
from services.approval.domain.ceremony import RelyingParty
from services.approval.domain.further import Offer
from shared.clock import Clock
from shared.contracts.admin import TenantConfigured
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.sealed_box import Sealer
from shared.crypto.statement import Purpose
from shared.geoip import Country
from shared.ids import Ids
from shared.store.aggregate import Stored

C = TypeVar("C", bound=Change | None)
StoredAccount = Stored[Account]
"""An account as it was read, with the revision that guards its next write."""


class Requests(Protocol):
    """The store of requests to accounts, or of those to nobody: each account, with its challenges and quotas, is one
    document.
    """

    async def by_handle(self, handle_digest: str) -> StoredAccount | None:
        """The account whose QR challenge has that handle (SHA-256, base64url) and is open; None when there is none."""
        ...

    async def overdue(self, now: datetime, limit: int) -> Sequence[StoredAccount]:
        """Accounts with an open challenge past its deadline, the longest overdue first."""
        ...

    async def change(
        self,
        tenant: str,
        account: str,
        compute: Callable[[Account], C],
        *,
        first: StoredAccount | None = None,
        confirm: bool = False,
    ) -> C:
        """Change an account and send the change's messages, in one conditional write; returns the change.

        `compute` is called again when somebody else wrote first, so it must not have effects; None means that there
        is nothing to do. `first` is the account as the caller has just read it. An account that does not exist is
        given to `compute` empty. `confirm`: admin says that the account is there (docs/flows/replication.md,
        step 10).

        Raises what `compute` raises, the change's own refusal after its write, NotUnique when another account has
        the credential, Unavailable when others keep being faster.
        """
        ...


class Accounts(Requests, Protocol):
    """The store of accounts, each with its devices, invitations, challenges and quotas as one document."""

    async def load(self, tenant: str, account: str) -> StoredAccount | None: ...

    async def by_credential(self, credential_id: str) -> StoredAccount | None: ...

    async def by_invitation(self, invitation: str) -> StoredAccount | None: ...

    async def confirm(self, tenant: str, account: str) -> None:
        """Note that admin still has the account, when a full pull brings nothing new of it."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """A phone's session, made by an assertion, or by the registration of its key."""

    token_digest: str
    """`kept_as` in `services/approval/handlers/sessions.py`: nothing from which the token could be made."""
    tenant: str
    account: str
    device: str
    seen_at: datetime
    expires_at: datetime
    session_epoch: int = 0
    """The account's when the session was made. Under another one it is over."""


class Sessions(Protocol):
    """The store of phones' sessions, found by the digest of their token."""

    async def add(self, session: Session) -> None: ...

    async def find(self, token_digest: str) -> Session | None: ...

    async def seen(self, token_digest: str, now: datetime) -> None: ...

    async def remove(self, token_digest: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A nonce that was given out to a phone and is good for one answer: it goes into the phone's statement."""

    id: str
    purpose: Purpose
    server_nonce: str
    expires_at: datetime
    tenant: str = ""
    account: str = ""
    invitation: str = ""
    """With the purpose `enrol`: the invitation that will vouch for the new key."""
    device: str = ""
    """With the purpose `remove`: the device to remove."""


class Ceremonies(Protocol):
    """The store of nonces that wait for their answer."""

    async def add(self, ceremony: Ceremony) -> None: ...

    async def find(self, ceremony_id: str) -> Ceremony | None:
        """The ceremony, which is kept as long as any invitation lives, for a phone that lost the answer."""
        ...

    async def take(self, ceremony_id: str) -> Ceremony | None:
        """Remove the ceremony and return it. Of several callers at once only one gets it, the others get None."""
        ...


class Offers(Protocol):
    """The store of offers to endorse a further phone; removed a day after their end."""

    async def add(self, offer: Offer) -> None: ...

    async def find(self, offer: str) -> Offer | None: ...

    async def change(self, offer: str, compute: Callable[[Offer], Offer | None]) -> Offer | None:
        """The offer after `compute`, in one conditional write. None: there is none, or `compute` returned None.

        `compute` is called again when somebody else wrote first. Raises what it raises, Unavailable.
        """
        ...


class Tenants(Protocol):
    """The projection of tenants' names, which admin owns."""

    async def name(self, tenant: str) -> str | None: ...

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        """Keep the tenant's name, unless a newer version is there."""
        ...


class Countries(Protocol):
    """Where addresses seem to be, as the operator's file has it. Approximate, and decides nothing."""

    def country(self, address: str, language: str) -> Country | None: ...


class Freshness(Protocol):
    """Whether what we know of what a service owns is recent and whole (docs/flows/replication.md). Costs nothing."""

    def __call__(self, owner: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How long sessions and ceremonies live."""

    session: timedelta = timedelta(hours=12)
    session_idle: timedelta = timedelta(hours=1)
    ceremony: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything that approval's handlers work with."""

    accounts: Accounts
    decoys: Requests
    """Requests to accounts that do not exist or may not sign in."""
    sessions: Sessions
    ceremonies: Ceremonies
    offers: Offers
    tenants: Tenants
    fresh: Freshness
    clock: Clock
    ids: Ids
    rp: RelyingParty
    notify_sealer: Sealer
    """Seals push subscriptions, so that only notify can read them."""
    push_key: str
    """notify's VAPID public key, base64url: what phones subscribe with."""
    countries: Countries
    limits: Limits = Limits()
