"""Transactions: one document each, one conditional update a step."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.request import SignInRequest
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
from shared.contracts.envelope import Packet
from shared.store.port import Database, Document, Index

KEPT_AFTER_END = 24 * 3600
"""Seconds: the TTL index removes a transaction a day after it expired."""


class StoredTransactions:
    """Implements `services.wsfed.ports.Transactions`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._collection = database.collection(
            "transactions",
            indexes=[Index((("expires_at", 1),), expire_after=KEPT_AFTER_END)],
            outbox=True,
        )

    async def add(self, transaction: Transaction) -> None:
        await self._collection.insert(to_document(transaction))

    async def get(self, transaction: str) -> Transaction | None:
        found = await self._collection.find_one({"_id": transaction})
        return None if found is None else from_document(found)

    async def bind(self, transaction: str, browser: str) -> Transaction | None:
        return await self._step({"_id": transaction, "browser": UNBOUND}, {"browser": browser})

    async def name_account(self, transaction: str, hint: str) -> Transaction | None:
        return await self._step(
            {"_id": transaction, "state": State.STARTED.value}, {"hint": hint, "passkey": None}
        )

    async def open_challenge(
        self, transaction: str, account: str | None, challenge: Challenge, packets: Sequence[Packet]
    ) -> Transaction | None:
        return await self._step(
            {
                "_id": transaction,
                "state": {"$in": sources(State.WAITING)},
                "challenges": {"$lt": MAX_CHALLENGES},
                "expires_at": {"$gt": self._clock.now()},
            },
            {
                "state": State.WAITING.value,
                "account": account,
                "challenge": asdict(challenge),
                "previous": None,
            },
            also={"$inc": {"challenges": 1}},
            packets=packets,
        )

    async def renew_challenge(
        self,
        transaction: str,
        account: str | None,
        previous: Challenge,
        challenge: Challenge,
        packets: Sequence[Packet],
    ) -> Transaction | None:
        return await self._step(
            {
                **_waiting_on(transaction, previous.id),
                "challenge.claimed": {"$ne": True},
                "renewals": {"$lt": MAX_RENEWALS},
                "expires_at": {"$gt": self._clock.now()},
            },
            {"account": account, "challenge": asdict(challenge), "previous": asdict(previous)},
            also={"$inc": {"renewals": 1}},
            packets=packets,
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
            {"challenge": asdict(replace(challenge, claimed=True)), "previous": None},
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
            {"passkey": asdict(context)},
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
        await self._step({"_id": transaction, "passkey.challenge": challenge}, {"passkey": None})

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
        packets: Sequence[Packet] = (),
    ) -> Transaction | None:
        after = await self._collection.update(where, {"$set": fields, **(also or {})}, outbox=packets)
        return None if after is None else from_document(after)


def _proved(authentication: VerifiedAuthentication, proof: PhoneProof) -> dict[str, Any]:
    return {
        "state": State.PROVED.value,
        "authentication": {**asdict(authentication), "method": authentication.method.value},
        "proof": asdict(proof),
    }


def _waiting_on(transaction: str, challenge: str) -> dict[str, Any]:
    return {
        "_id": transaction,
        "state": State.WAITING.value,
        "challenge.context.challenge": challenge,
    }


def to_document(transaction: Transaction) -> Document:
    """A transaction as it is kept."""
    request = asdict(transaction.request)
    if transaction.request.mfa_max_age is not None:
        request["mfa_max_age"] = int(transaction.request.mfa_max_age.total_seconds())
    document = {
        **asdict(transaction),
        "_id": transaction.id,
        "state": transaction.state.value,
        "request": request,
    }
    del document["id"]
    return document


def from_document(document: Document) -> Transaction:
    """The transaction of a document."""
    request = dict(document["request"])
    if request["mfa_max_age"] is not None:
        request["mfa_max_age"] = timedelta(seconds=request["mfa_max_age"])
    return Transaction(
        id=document["_id"],
        tenant=document["tenant"],
        application=document["application"],
        request=SignInRequest(**request),
        hint=document["hint"],
        browser=document["browser"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        state=State(document["state"]),
        challenges=document["challenges"],
        renewals=document.get("renewals", 0),
        challenge=_challenge(document["challenge"]),
        previous=_challenge(document.get("previous")),
        passkey=_context(document.get("passkey")),
        passkeys=document.get("passkeys", 0),
        account=document["account"],
        proof=None if document["proof"] is None else PhoneProof(**document["proof"]),
        authentication=_authentication(document["authentication"]),
        assertion_id=document["assertion_id"],
    )


def _challenge(stored: Document | None) -> Challenge | None:
    if stored is None:
        return None
    return Challenge(
        context=SignInContext(**stored["context"]),
        code=stored["code"],
        handle=stored["handle"],
        claimed=stored.get("claimed", False),
    )


def _context(stored: Document | None) -> SignInContext | None:
    return None if stored is None else SignInContext(**stored)


def _authentication(stored: Document | None) -> VerifiedAuthentication | None:
    if stored is None:
        return None
    return VerifiedAuthentication(**{**stored, "method": Method(stored["method"])})
