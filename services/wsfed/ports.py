"""What wsfed's handlers need from the world: narrow protocols, and `Dependencies`, which holds one of each."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.wsfed.domain.authentication import VerifiedAuthentication
from services.wsfed.domain.browser import KnownBrowser
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.keys import SigningKey
from services.wsfed.domain.own_page import Act, OwnPhone, OwnSignIn
from services.wsfed.domain.session import Session
from services.wsfed.domain.sign_in_figures import Attempt, DayFigures, Uncounted
from services.wsfed.domain.transaction import Challenge, DeviceProof, Transaction, TransactionState
from services.wsfed.domain.trial import TrialResult
from services.wsfed.domain.trust import AddedDevice, EndorsedDevice, Invitation, Standing, TrustedDevice
from shared.clock import Clock
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    Application,
    AuthenticatorChanged,
    InvitationChanged,
    LogoChanged,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, MessageSigner, SignedMessage, VerifiedMessage
from shared.errors import Gone
from shared.ids import Ids


@dataclass(frozen=True, slots=True)
class Account:
    """An account as admin's latest event describes it."""

    tenant: str
    id: str
    upn: str
    immutable_id: str
    status: AccountStatus
    session_epoch: int = 0
    """`CarriesSessionEpoch.epoch`: what was begun for the person counts only under the same one."""
    added: tuple[tuple[str, datetime], ...] = ()
    """The devices that were added last, ten at most, and when each first counted here; removed ones too."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as admin's latest event describes it."""

    slug: str
    configured: TenantConfigured

    def application(self, application: str) -> Application:
        """One of its applications. Raises Gone when it was removed meanwhile."""
        for each in self.configured.applications:
            if each.id == application:
                return each
        raise Gone("wsfed.application.removed")


@dataclass(frozen=True, slots=True)
class Logo:
    """An organisation's logo: its name, and the file."""

    name: str
    png: bytes


class Logos(Protocol):
    """Logos as admin announces them: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[LogoChanged]) -> None: ...

    async def of(self, tenant: str) -> Sequence[Logo]:
        """The tenant's, and the one before, which its configuration may name still; none without one."""
        ...


class Transactions(Protocol):
    """The store of sign-in transactions.

    Every change is one conditional update, in the states that `domain.transaction.TRANSITIONS` allows for the step of
    the method's name; None means that its condition failed.
    """

    async def add(self, transaction: Transaction) -> None: ...

    async def get(self, transaction: str) -> Transaction | None:
        """The transaction as the database has it now; None when there is none."""
        ...

    async def recent(self, transaction: str) -> Transaction | None:
        """The transaction as it was at most four seconds ago.

        Good enough for a step whose conditional update decides; a page must show what `get` returns.
        """
        ...

    def forget(self, transaction: str) -> None:
        """Drop what is held of a transaction that another replica has changed, so that `recent` reads it again."""
        ...

    async def bind(self, transaction: str, browser: str) -> Transaction | None:
        """Step 2, after a POST: give an unbound transaction to this browser."""
        ...

    async def name_account(self, transaction: str, username: str) -> Transaction | None:
        """Take a typed user name, and go back to `started`: what was asked under another name is over."""
        ...

    async def open_challenge(
        self,
        transaction: str,
        username: str,
        account: str | None,
        challenge: Challenge,
        messages: Sequence[SignedMessage],
        *,
        left: Attempt | None = None,
        count_at: datetime | None = None,
    ) -> Transaction | None:
        """Step 3: go to `waiting`, and keep the message of step 4 in the same write.

        Nothing is written over the limit of challenges, or when the transaction is about another user name by now.
        `left`: the request in whose place this one comes, if nobody has answered that; `count_at`: when nothing can
        take the place of this one any more. Both are for the figures (docs/flows/sign-in-figures.md), and so is
        `attempt` wherever it stands: what ends with the step, kept in the same write.
        """
        ...

    async def renew_challenge(
        self,
        transaction: str,
        account: str | None,
        previous: Challenge,
        challenge: Challenge,
        messages: Sequence[SignedMessage],
    ) -> Transaction | None:
        """Step 3, by the page itself: another QR code in place of `previous`, unless a phone has scanned that."""
        ...

    async def claim_challenge(self, transaction: str, challenge: Challenge) -> Transaction | None:
        """Step 5: a phone has scanned this one, the current or the previous; it is the current one from now on."""
        ...

    async def mark_unnotified(self, transaction: str, challenge: str) -> Transaction | None:
        """Step 4: no phone was notified of this one, which a browser that is known may see. Once for each."""
        ...

    async def end_challenge(
        self, transaction: str, challenge: str, end: TransactionState, attempt: Attempt | None = None
    ) -> Transaction | None:
        """Step 7: from `waiting` on this challenge to one of the ends. Raises ValueError for any other state."""
        ...

    async def supersede(self, transaction: str, challenge: str) -> Transaction | None:
        """Another tab of the browser has asked since: this challenge can be approved no more."""
        ...

    async def prove(
        self,
        transaction: str,
        challenge: str,
        authentication: VerifiedAuthentication,
        proof: DeviceProof,
        attempt: Attempt | None = None,
    ) -> Transaction | None:
        """Step 8: from `waiting` on this challenge to `proved`."""
        ...

    async def ask_passkey(
        self, transaction: str, username: str, context: SignInContext, session_epoch: int
    ) -> Transaction | None:
        """Keep what a passkey is to sign, and the account's session epoch, if that user name is still the one and
        nothing is kept yet.

        An open request stays as it is.
        """
        ...

    async def prove_by_passkey(
        self,
        transaction: str,
        challenge: str,
        authentication: VerifiedAuthentication,
        proof: DeviceProof,
        attempt: Attempt | None = None,
    ) -> Transaction | None:
        """Go to `proved` from any state before it, and spend the passkey's challenge in the same update."""
        ...

    async def spend_passkey(self, transaction: str, challenge: str, attempt: Attempt | None = None) -> None:
        """Spend a passkey's challenge after a refused assertion: nothing that signs it is accepted any more."""
        ...

    async def issue(
        self, transaction: str, assertion_id: str, issued_at: datetime, attempt: Attempt | None = None
    ) -> Transaction | None:
        """Step 10: from `proved` to `issued`. Of many callers at once, one gets the transaction."""
        ...

    async def note_refusal(self, transaction: str, attempt: Attempt) -> Transaction | None:
        """Step 10, when the token is refused though the proof holds: keep that for the figures, once."""
        ...

    async def uncounted(self, now: datetime, limit: int) -> Sequence[Uncounted]:
        """At most `limit` transactions that have something to count by now, the oldest first."""
        ...

    async def uncounted_of(self, transactions: Collection[str], now: datetime) -> Sequence[Uncounted]:
        """Those of these that do."""
        ...

    async def mark_counted(self, seen: Uncounted, attempts: Collection[str]) -> None:
        """These of its attempts are counted, by their ids."""
        ...

    async def act(self, transaction: str, act: Act, messages: Sequence[SignedMessage]) -> Transaction | None:
        """Own page, step 5: keep what the person asked for, and the command that asks for it in the same write.

        Nothing is written over the limit of acts, nor in a sign-in to anything else.
        """
        ...

    async def answer(self, transaction: str, assertion_id: str, issued_at: datetime) -> Transaction | None:
        """A session answers: to `issued`, from where nothing was refused. Of many callers at once, one gets it."""
        ...

    async def keep_result(self, transaction: str, result: TrialResult) -> Transaction | None:
        """Try it, step 4: keep what was read from the token of a trial, once. Nothing is written for a sign-in."""
        ...


class Directory(Protocol):
    """wsfed's own projection of what admin and approval say. Only higher versions are accepted."""

    async def tenant(self, slug: str) -> Tenant | None: ...

    async def account(self, tenant: str, account: str) -> Account | None: ...

    async def account_by_upn(self, tenant: str, upn: str) -> Account | None: ...

    async def invitation(self, tenant: str, invitation: str) -> Invitation | None: ...

    async def endorsed_device(self, tenant: str, device: str) -> EndorsedDevice | None:
        """The device, whether it counts or was removed, if its chain was verified here."""
        ...

    async def standing(self, tenant: str, account: str, device: str) -> Standing:
        """Whether the device counts for that account: for whoever must know why it does not."""
        ...

    async def trusted_device(self, tenant: str, account: str, device: str) -> TrustedDevice | None:
        """The device, if it counts now for that account: its chain holds and admin's decision is `trusted`."""
        ...

    async def device_of_credential(
        self, tenant: str, account: str, credential_id: str
    ) -> TrustedDevice | None:
        """The account's device with that WebAuthn credential id, if it counts now."""
        ...

    async def devices_since(self, tenant: str, account: str, since: datetime) -> Sequence[AddedDevice]:
        """The account's devices that count now and first did after that time, oldest first, ten at most."""
        ...

    async def gets_notifications(self, tenant: str, account: str) -> bool:
        """Whether any device of the account that counts now gets notifications. Only approval's word."""
        ...

    async def own_phones(self, tenant: str, account: str) -> Sequence[OwnPhone]:
        """The account's devices that count now, the oldest first, with the version of admin's decision on each."""
        ...

    async def device_used(self, device: TrustedDevice, sign_count: int) -> bool:
        """Raise the signature counter; False when it does not rise or the device was removed."""
        ...

    async def keep_tenant(self, received: VerifiedMessage[TenantConfigured]) -> None: ...

    async def keep_account(self, received: VerifiedMessage[AccountChanged]) -> None: ...

    async def keep_invitation(self, received: VerifiedMessage[InvitationChanged]) -> None: ...

    async def keep_decision(self, received: VerifiedMessage[AuthenticatorChanged]) -> None:
        """Keep admin's decision on an authenticator. A revocation is never taken back."""
        ...

    async def knows_device(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        """Whether exactly what approval says of a device is kept already."""
        ...

    async def keep_device(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        """Keep a device whose chain was verified, or its removal. False when it has another key or owner than the
        one that is kept: those never change, and a removed device never comes back.
        """
        ...

    async def acceptable(self, tenant: str, device: str) -> EndorsedDevice | None:
        """The device, if its chain and admin's decision hold and only its acceptance is missing; otherwise None."""
        ...

    async def accept(self, device: EndorsedDevice, accepted: SignedMessage) -> bool:
        """Let the device count from now on, and send the message that says so, in one write. False: it did before."""
        ...

    async def keep_claim(self, received: VerifiedMessage[DeviceChanged]) -> None:
        """Keep what approval says of a device whose invitation is not here yet: it is not trusted."""
        ...

    async def claims(
        self, tenant: str, invitation: str, limit: int
    ) -> Sequence[VerifiedMessage[DeviceChanged]]:
        """At most `limit` of the claims (devices that nobody trusts yet) that wait for that invitation."""
        ...

    async def drop_claim(self, claim: VerifiedMessage[DeviceChanged]) -> None:
        """Remove a claim that was decided. A newer claim of the same device stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """A tenant's certificates (DER). `next` is published and will sign; `previous` has signed until lately.

    `version` counts their changes, as `wsfed.keys.changed.v1` says it.
    """

    current: bytes
    next: bytes | None
    previous: bytes | None
    next_since: datetime | None
    version: int = 1


class SigningKeys(Protocol):
    """Token-signing keys of each tenant. Changes are one conditional update each; False: the condition failed.

    `version`: of the certificates that the change was decided on; under another one nothing is changed.
    """

    async def current(self, tenant: str) -> SigningKey:
        """The key that signs now; made when the tenant has none. Raises Unavailable."""
        ...

    async def upcoming(self, tenant: str) -> Sequence[bytes]:
        """Certificates (DER) that will sign later and are published already."""
        ...

    async def ring(self, tenant: str) -> KeyRing:
        """The tenant's certificates with their roles, as they are stored now."""
        ...

    async def add_next(self, tenant: str, version: int) -> bool:
        """Make the next key. False when there is one already."""
        ...

    async def switch(self, tenant: str, version: int) -> bool:
        """Make the next key current and the current one previous, in one write. False when there is no next one."""
        ...

    async def drop_previous(self, tenant: str, version: int) -> bool:
        """Destroy the previous key. False when there is none."""
        ...

    async def replace_all(self, tenant: str) -> None:
        """Destroy every key of the tenant and make two new ones, current and next."""
        ...


class FirstUses(Protocol):
    """When each domain was first used."""

    def note(self, tenant: str, domain: str, now: datetime, *, signed_in: bool) -> None:
        """A request for somebody of the domain came, or somebody of it was signed in. It is written down later."""
        ...


class SignInFigures(Protocol):
    """How sign-ins ended: a tenant's counts of each day, and each account's last attempts. Each write announces the new
    state.
    """

    async def day(self, tenant: str, day: str) -> DayFigures:
        """Those of a day on which nothing was counted yet are empty."""
        ...

    async def write_day(self, before: DayFigures, after: DayFigures) -> bool:
        """Write it if the stored one is still `before`. False: another replica was first; nothing was written."""
        ...

    async def list_attempts(self, tenant: str, account: str, attempts: Sequence[Attempt]) -> None:
        """Add these to the account's last ones. Those that are there already change nothing."""
        ...


class Sessions(Protocol):
    """Sessions: one for each account in each browser that has signed in with it."""

    async def get(self, session: str) -> Session | None: ...

    async def add(self, session: Session) -> None: ...

    async def use(self, session: Session, now: datetime, idle_ends_at: datetime) -> Session | None:
        """Keep what `session` has noted of its tokens, if it is still live; None when it is not."""
        ...

    async def end(self, session: str, now: datetime) -> None:
        """End the session: it answers no request from now on, and the browser stays known for the account."""
        ...

    async def forget(self, session: str) -> bool:
        """Remove it, because a newer session of the same account in the same browser has taken its place. False when
        it was not there any more.
        """
        ...

    async def forget_browser(self, browser: str) -> None:
        """Remove all sessions in the browser with that public id: it is known no longer."""
        ...


class Browsers(Protocol):
    """The browsers in which people are known, by their public ids. Each write announces the browser's new state."""

    async def add(self, browser: KnownBrowser) -> None: ...

    async def get(self, browser: str) -> KnownBrowser | None: ...

    async def of(self, tenant: str, account: str, limit: int) -> Sequence[KnownBrowser]:
        """At most `limit` of the account's browsers that were not removed, the one that was used last first."""
        ...

    async def change(
        self,
        browser: str,
        step: Callable[[KnownBrowser], KnownBrowser | None],
        *,
        cause: Envelope | None = None,
    ) -> KnownBrowser | None:
        """The browser after `step`. None: there is no such browser, or `step` returned None; nothing was written."""
        ...

    def note_seen(self, browser: str, now: datetime) -> None:
        """Have the day written down within a minute, by no write of the sign-in itself. A process that is killed
        forgets it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """What is on record of a token before it is signed.

    It stands on a transaction and its proof, or on the session that such a transaction opened. Either way `proved_by`
    names the transaction whose own record holds the proof.
    """

    account: Account
    authentication: VerifiedAuthentication
    assertion_id: str
    issued_at: datetime
    issuer: str
    key_id: str
    client_request_id: str | None
    transaction: str | None
    proved_by: str | None
    proof: DeviceProof | None
    session: str | None
    trial: bool = False
    """The token went to nobody (docs/flows/try-it.md)."""


class IssuanceLog(Protocol):
    """A gapless stream of issuance records, one for each process."""

    async def append(self, issuance: Issuance) -> None:
        """Add a record, and return when it is durable. Raises Unavailable."""
        ...

    async def proved(self, tenant: str, account: str, among: int) -> Sequence[OwnSignIn]:
        """The account's sign-ins with a proof among its last `among` tokens, of any replica, the latest first."""
        ...


class Watch(Protocol):
    """Lets a page wait for its transaction."""

    def __call__(self, transaction: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever the transaction may have changed."""
        ...


class Freshness(Protocol):
    """Whether what we know of what a service owns is recent and whole (docs/flows/replication.md). Costs nothing."""

    def __call__(self, owner: str) -> bool: ...


class Wake(Protocol):
    """Tells the pages of a transaction, on every replica, that it may have changed."""

    async def __call__(self, transaction: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What the handlers work with. `origin`: of the sign-in host; `phone_origin`: of the phone's page;
    `expected_origins`: where approvals may come from.
    """

    transactions: Transactions
    sessions: Sessions
    browsers: Browsers
    directory: Directory
    logos: Logos
    keys: SigningKeys
    first_uses: FirstUses
    figures: SignInFigures
    issuances: IssuanceLog
    wake: Wake
    fresh: Freshness
    signer: MessageSigner
    clock: Clock
    ids: Ids
    origin: str
    phone_origin: str
    rp_id: str
    expected_origins: frozenset[str]
