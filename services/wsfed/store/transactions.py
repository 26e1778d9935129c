"""Transactions: one document each, one conditional update a step."""

from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.wsfed.domain.authentication import VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.transaction import (
    MAX_CHALLENGES,
    MAX_PASSKEYS,
    MAX_RENEWALS,
    UNBOUND,
    Challenge,
    PhoneProof,
    State,
    Transaction,
    sources,
)
from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index

KEPT_UNTOUCHED = timedelta(minutes=5)
"""A transaction in which nobody did anything goes so long after its time: strangers begin as many as they like."""
KEPT = timedelta(days=1)
"""Any other goes so long after its last step."""
HELD_FOR = 4.0
"""Seconds that a replica holds a transaction as it last wrote or read it; less than a page waits between its looks."""
HELD_AT_MOST = 5_000


class StoredTransactions:
    """Implements `services.wsfed.ports.Transactions`.

    The requests of one sign-in follow each other within moments, mostly to one replica, so what it last saw is held
    in memory for `recent`. It may be behind what another replica wrote; every change is conditional on the state in
    the database, so an old copy costs a second look and never a wrong step.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, Transaction]] = OrderedDict()
        self._alone: dict[str, object] = {}
        """The operation under way on a transaction that no other has crossed: only its answer is held."""
        self._collection = database.collection(
            "transactions",
            indexes=[Index((("remove_at", 1),), expire_after=0)],
            outbox=True,
        )

    async def add(self, transaction: Transaction) -> None:
        remove_at = transaction.expires_at + KEPT_UNTOUCHED
        await self._collection.insert({**to_document(transaction, key="id"), "remove_at": remove_at})
        self._hold(transaction)

    async def get(self, transaction: str) -> Transaction | None:
        return await self._looked(transaction, self._collection.find_one({"_id": transaction}))

    async def recent(self, transaction: str) -> Transaction | None:
        held = self._held.get(transaction)
        if held is None or self._clock.monotonic() - held[0] >= HELD_FOR:
            return await self.get(transaction)
        # A browser and a name come once, perhaps to another replica, and no step's condition asks for them.
        complete = held[1].browser != UNBOUND and held[1].hint
        return held[1] if complete else await self.get(transaction)

    def forget(self, transaction: str) -> None:
        """Another replica has changed it: look again next time."""
        self._held.pop(transaction, None)
        self._alone.pop(transaction, None)

    async def _looked(self, transaction: str, operation: Awaitable[Document | None]) -> Transaction | None:
        """What the operation returns, held unless another crossed it: then nobody knows whose answer is newer."""
        self.forget(transaction)
        mine = self._alone[transaction] = object()
        made = None
        try:
            found = await operation
            made = None if found is None else from_document(Transaction, found, key="id")
        finally:
            crossed = self._alone.get(transaction) is not mine
            self.forget(transaction)
        if made is not None and not crossed:
            self._hold(made)
        return made

    def _hold(self, transaction: Transaction) -> None:
        now = self._clock.monotonic()
        self._held[transaction.id] = (now, transaction)  # forgotten before, so the last in an order by age
        while self._held:
            oldest, (since, _) = next(iter(self._held.items()))
            if now - since < HELD_FOR and len(self._held) <= HELD_AT_MOST:
                break
            del self._held[oldest]

    async def bind(self, transaction: str, browser: str) -> Transaction | None:
        return await self._step({"_id": transaction, "browser": UNBOUND}, {"browser": browser})

    async def name_account(self, transaction: str, hint: str) -> Transaction | None:
        return await self._step(
            {"_id": transaction, "state": State.STARTED.value}, {"hint": hint, "passkey": None}
        )

    async def open_challenge(
        self,
        transaction: str,
        hint: str,
        account: str | None,
        challenge: Challenge,
        messages: Sequence[SignedMessage],
    ) -> Transaction | None:
        return await self._step(
            {
                "_id": transaction,
                "hint": hint,  # the name that the challenge was made for
                "state": {"$in": sources(State.WAITING)},
                "challenges": {"$lt": MAX_CHALLENGES},
                "expires_at": {"$gt": self._clock.now()},
            },
            {
                "state": State.WAITING.value,
                "account": account,
                "challenge": to_document(challenge),
                "previous": None,
            },
            also={"$inc": {"challenges": 1}},
            messages=messages,
        )

    async def renew_challenge(
        self,
        transaction: str,
        account: str | None,
        previous: Challenge,
        challenge: Challenge,
        messages: Sequence[SignedMessage],
    ) -> Transaction | None:
        return await self._step(
            {
                **_waiting_on(transaction, previous.id),
                "challenge.claimed": {"$ne": True},
                "renewals": {"$lt": MAX_RENEWALS},
                "expires_at": {"$gt": self._clock.now()},
            },
            {"account": account, "challenge": to_document(challenge), "previous": to_document(previous)},
            also={"$inc": {"renewals": 1}},
            messages=messages,
        )

    async def claim_challenge(self, transaction: str, challenge: Challenge) -> Transaction | None:
        return await self._step(
            {
                "_id": transaction,
                "state": State.WAITING.value,
                "challenge.claimed": {"$ne": True},
                "$or": [
                    {"challenge.context.challenge": challenge.id},
                    {"previous.context.challenge": challenge.id},
                ],
            },
            {"challenge": to_document(replace(challenge, claimed=True)), "previous": None},
        )

    async def end_challenge(self, transaction: str, challenge: str, state: State) -> Transaction | None:
        return await self._step(_waiting_on(transaction, challenge), {"state": state.value})

    async def prove(
        self, transaction: str, challenge: str, authentication: VerifiedAuthentication, proof: PhoneProof
    ) -> Transaction | None:
        return await self._step(
            _waiting_on(transaction, challenge),
            _proved(authentication, proof),
        )

    async def ask_passkey(self, transaction: str, hint: str, context: SignInContext) -> Transaction | None:
        return await self._step(
            {
                "_id": transaction,
                "hint": hint,
                "state": {"$in": sources(State.PROVED)},
                "$or": [{"passkeys": None}, {"passkeys": {"$lt": MAX_PASSKEYS}}],
                "expires_at": {"$gt": self._clock.now()},
            },
            {"passkey": to_document(context)},
            also={"$inc": {"passkeys": 1}},
        )

    async def prove_by_passkey(
        self, transaction: str, challenge: str, authentication: VerifiedAuthentication, proof: PhoneProof
    ) -> Transaction | None:
        return await self._step(
            {
                "_id": transaction,
                "state": {"$in": sources(State.PROVED)},
                "passkey.challenge": challenge,
                "passkey.expires_at": {"$gt": self._clock.now()},
            },
            {
                **_proved(authentication, proof),
                "account": authentication.account,
                "passkey": None,
            },
        )

    async def spend_passkey(self, transaction: str, challenge: str) -> None:
        where = {"_id": transaction, "state": {"$in": sources(State.PROVED)}, "passkey.challenge": challenge}
        await self._step(where, {"passkey": None})

    async def issue(self, transaction: str, assertion_id: str, issued_at: datetime) -> Transaction | None:
        return await self._issued(transaction, State.PROVED, assertion_id, issued_at)

    async def answer(self, transaction: str, assertion_id: str, issued_at: datetime) -> Transaction | None:
        return await self._issued(transaction, State.STARTED, assertion_id, issued_at)

    async def _issued(
        self, transaction: str, before: State, assertion_id: str, issued_at: datetime
    ) -> Transaction | None:
        return await self._step(
            {"_id": transaction, "state": before.value},
            {"state": State.ISSUED.value, "assertion_id": assertion_id, "issued_at": issued_at},
        )

    async def _step(
        self,
        where: dict[str, Any],
        fields: dict[str, Any],
        *,
        also: dict[str, Any] | None = None,
        messages: Sequence[SignedMessage] = (),
    ) -> Transaction | None:
        change = {"$set": {**fields, "remove_at": self._clock.now() + KEPT}, **(also or {})}
        return await self._looked(where["_id"], self._collection.update(where, change, outbox=messages))


def _proved(authentication: VerifiedAuthentication, proof: PhoneProof) -> dict[str, Any]:
    return {
        "state": State.PROVED.value,
        "authentication": to_document(authentication),
        "proof": to_document(proof),
    }


def _waiting_on(transaction: str, challenge: str) -> dict[str, Any]:
    return {
        "_id": transaction,
        "state": State.WAITING.value,
        "challenge.context.challenge": challenge,
    }
