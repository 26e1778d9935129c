"""Transactions: one document for each, and one conditional update for each step."""

from collections import OrderedDict
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from services.wsfed.domain.authentication import VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.own_page import MAX_ACTS, Act
from services.wsfed.domain.sign_in_figures import COUNTED_AFTER, Attempt, Uncounted, unanswered
from services.wsfed.domain.transaction import (
    MAX_CHALLENGES,
    MAX_PASSKEYS,
    MAX_RENEWALS,
    TRANSITIONS,
    UNBOUND,
    Challenge,
    DeviceProof,
    Step,
    Transaction,
    TransactionState,
    stands_on_answer,
)
from services.wsfed.domain.trial import TrialResult
from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index

log = structlog.get_logger(__name__)

KEPT_UNANSWERED = timedelta(minutes=5)
"""How long after its end a transaction is removed that no device has answered: strangers begin as many as they like,
and do to them what they like.
"""
KEPT = timedelta(days=1)
"""How long after its last answered step any other is removed."""
HELD_FOR = 4.0
"""Seconds that a replica holds a transaction as it last wrote or read it; a page polls less often."""
HELD_AT_MOST = 5_000


class TransactionRepository:
    """Implements `services.wsfed.ports.Transactions`.

    The requests of one sign-in follow each other within moments, mostly to one replica, so what it last saw is held
    in memory for `recent`. It may be behind what another replica wrote; every change is conditional on the state in
    the database, so an old copy costs another read and never leads to a wrong step.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, Transaction]] = OrderedDict()
        self._alone: dict[str, object] = {}
        """The latest operation under way on each transaction. When two overlap, the answer of neither is held."""
        self._collection = database.collection(
            "transactions",
            indexes=[
                Index((("remove_at", 1),), expire_after=0),
                Index((("count_at", 1),), partial={"count_at": {"$exists": True}}),
            ],
            outbox=True,
        )

    async def add(self, transaction: Transaction) -> None:
        remove_at = transaction.expires_at + KEPT_UNANSWERED
        await self._collection.insert({**_document(transaction), "remove_at": remove_at})
        self._hold(transaction)

    async def get(self, transaction: str) -> Transaction | None:
        return await self._observe(transaction, self._collection.find_one({"_id": transaction}))

    async def recent(self, transaction: str) -> Transaction | None:
        held = self._held.get(transaction)
        if held is None or self._clock.monotonic() - held[0] >= HELD_FOR:
            return await self.get(transaction)
        # The condition of most steps does not ask for browser and user name, which another replica may have set since.
        complete = held[1].browser != UNBOUND and held[1].username
        return held[1] if complete else await self.get(transaction)

    def forget(self, transaction: str) -> None:
        """Drop what is held of a transaction that another replica has changed; it is read again next time."""
        self._held.pop(transaction, None)
        self._alone.pop(transaction, None)

    async def _observe(self, transaction: str, operation: Awaitable[Document | None]) -> Transaction | None:
        """What the operation returns. It is held unless another overlapped with it: their order is not known then."""
        self.forget(transaction)
        mine = self._alone[transaction] = object()
        made = None
        try:
            found = await operation
            made = None if found is None else _transaction(found)
        finally:
            crossed = self._alone.get(transaction) is not mine
            self.forget(transaction)
        if made is not None and not crossed:
            self._hold(made)
        return made

    def _hold(self, transaction: Transaction) -> None:
        now = self._clock.monotonic()
        # It was forgotten before, so it goes to the end: the order is by age.
        self._held[transaction.id] = (now, transaction)
        while self._held:
            oldest, (since, _) = next(iter(self._held.items()))
            if now - since < HELD_FOR and len(self._held) <= HELD_AT_MOST:
                break
            del self._held[oldest]

    async def bind(self, transaction: str, browser: str) -> Transaction | None:
        return await self._take(Step.BIND, transaction, {"browser": UNBOUND}, {"browser": browser})

    async def name_account(self, transaction: str, username: str) -> Transaction | None:
        nothing_asked = {"account": None, "challenge": None, "previous": None, "passkey": None}
        return await self._take(Step.NAME_ACCOUNT, transaction, {}, {"hint": username, **nothing_asked})

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
        return await self._take(
            Step.OPEN_CHALLENGE,
            transaction,
            {
                "hint": username,  # the name that the challenge was made for
                "challenges": {"$lt": MAX_CHALLENGES},
                "expires_at": {"$gt": self._clock.now()},
            },
            {"account": account, "challenge": to_document(challenge), "previous": None},
            counts="challenges",
            messages=messages,
            attempt=left,
            count_at=count_at,
        )

    async def renew_challenge(
        self,
        transaction: str,
        account: str | None,
        previous: Challenge,
        challenge: Challenge,
        messages: Sequence[SignedMessage],
    ) -> Transaction | None:
        return await self._take(
            Step.RENEW_CHALLENGE,
            transaction,
            {
                "challenge.context.challenge": previous.id,
                "challenge.claimed": {"$ne": True},
                "renewals": {"$lt": MAX_RENEWALS},
                "expires_at": {"$gt": self._clock.now()},
            },
            {"account": account, "challenge": to_document(challenge), "previous": to_document(previous)},
            counts="renewals",
            messages=messages,
        )

    async def claim_challenge(self, transaction: str, challenge: Challenge) -> Transaction | None:
        return await self._take(
            Step.CLAIM_CHALLENGE,
            transaction,
            {
                "challenge.claimed": {"$ne": True},
                "$or": [
                    {"challenge.context.challenge": challenge.id},
                    {"previous.context.challenge": challenge.id},
                ],
            },
            {"challenge": to_document(replace(challenge, claimed=True)), "previous": None},
        )

    async def mark_unnotified(self, transaction: str, challenge: str) -> Transaction | None:
        where = {
            "challenge.context.challenge": challenge,
            "challenge.context.known_browser": True,
            "challenge.unnotified": {"$ne": True},
        }
        return await self._take(Step.MARK_UNNOTIFIED, transaction, where, {"challenge.unnotified": True})

    async def end_challenge(
        self, transaction: str, challenge: str, end: TransactionState, attempt: Attempt | None = None
    ) -> Transaction | None:
        where = {"challenge.context.challenge": challenge}
        return await self._take(Step.END_CHALLENGE, transaction, where, {}, to=end, attempt=attempt)

    async def supersede(self, transaction: str, challenge: str) -> Transaction | None:
        return await self._take(Step.SUPERSEDE, transaction, {"challenge.context.challenge": challenge}, {})

    async def prove(
        self,
        transaction: str,
        challenge: str,
        authentication: VerifiedAuthentication,
        proof: DeviceProof,
        attempt: Attempt | None = None,
    ) -> Transaction | None:
        where = {"challenge.context.challenge": challenge}
        return await self._take(
            Step.PROVE, transaction, where, _proved(authentication, proof), attempt=attempt
        )

    async def ask_passkey(
        self, transaction: str, username: str, context: SignInContext, session_epoch: int
    ) -> Transaction | None:
        return await self._take(
            Step.ASK_PASSKEY,
            transaction,
            {
                "hint": username,
                "passkey": None,  # of two pages that are drawn at once, both show the same one
                "$or": [{"passkeys": None}, {"passkeys": {"$lt": MAX_PASSKEYS}}],
                "expires_at": {"$gt": self._clock.now()},
            },
            {"passkey": to_document(context), "passkey_epoch": session_epoch},
            counts="passkeys",
        )

    async def prove_by_passkey(
        self,
        transaction: str,
        challenge: str,
        authentication: VerifiedAuthentication,
        proof: DeviceProof,
        attempt: Attempt | None = None,
    ) -> Transaction | None:
        return await self._take(
            Step.PROVE_BY_PASSKEY,
            transaction,
            {"passkey.challenge": challenge, "passkey.expires_at": {"$gt": self._clock.now()}},
            {**_proved(authentication, proof), "account": authentication.account, "passkey": None},
            attempt=attempt,
        )

    async def spend_passkey(self, transaction: str, challenge: str, attempt: Attempt | None = None) -> None:
        await self._take(
            Step.SPEND_PASSKEY,
            transaction,
            {"passkey.challenge": challenge},
            {"passkey": None},
            attempt=attempt,
        )

    async def issue(
        self, transaction: str, assertion_id: str, issued_at: datetime, attempt: Attempt | None = None
    ) -> Transaction | None:
        return await self._take(
            Step.ISSUE, transaction, {}, _issued(assertion_id, issued_at), attempt=attempt
        )

    async def note_refusal(self, transaction: str, attempt: Attempt) -> Transaction | None:
        where = {"refused": None}
        return await self._take(Step.NOTE_REFUSAL, transaction, where, {"refused": True}, attempt=attempt)

    async def act(self, transaction: str, act: Act, messages: Sequence[SignedMessage]) -> Transaction | None:
        return await self._take(
            Step.ACT,
            transaction,
            {"own_page": {"$ne": ""}, "acts_asked": {"$lt": MAX_ACTS}},
            {},
            counts="acts_asked",
            adds={"acts": to_document(act)},
            messages=messages,
        )

    async def answer(self, transaction: str, assertion_id: str, issued_at: datetime) -> Transaction | None:
        return await self._take(Step.ANSWER, transaction, {}, _issued(assertion_id, issued_at))

    async def keep_result(self, transaction: str, result: TrialResult) -> Transaction | None:
        # Not `trial != ""`: that would hold for a document from before there were any.
        where = {"trial": {"$gt": ""}, "result": None}
        return await self._take(Step.KEEP_RESULT, transaction, where, {"result": to_document(result)})

    async def uncounted(self, now: datetime, limit: int) -> Sequence[Uncounted]:
        where = {"count_at": {"$lte": now}}
        return _readable(await self._collection.find(where, sort=[("count_at", 1)], limit=limit), now)

    async def uncounted_of(self, transactions: Collection[str], now: datetime) -> Sequence[Uncounted]:
        where = {"_id": {"$in": list(transactions)}, "count_at": {"$lte": now}}
        return _readable(await self._collection.find(where, limit=max(1, len(transactions))), now)

    async def mark_counted(self, seen: Uncounted, attempts: Collection[str]) -> None:
        gone = {f"attempts.{attempt}": "" for attempt in attempts}
        if all(attempt.id in attempts for attempt in seen.attempts):
            # Only if nothing has happened since; otherwise it is looked at again.
            where = {"_id": seen.transaction, "count_at": seen.due, "state": seen.state.value}
            change: Document = {"$unset": {**gone, "count_at": ""}}
            if seen.waits_until is not None:
                change = {"$set": {"count_at": seen.waits_until}, **({"$unset": gone} if gone else {})}
            if await self._collection.update(where, change) is not None:
                return
        if gone:
            await self._collection.update({"_id": seen.transaction}, {"$unset": gone})

    async def _take(
        self,
        step: Step,
        transaction: str,
        where: Document,
        fields: Document,
        *,
        to: TransactionState | None = None,
        counts: str | None = None,
        adds: Document | None = None,
        messages: Sequence[SignedMessage] = (),
        attempt: Attempt | None = None,
        count_at: datetime | None = None,
    ) -> Transaction | None:
        """Take a step: the only update there is. Its states are those of the table, for every method.

        `where`: what else must hold. `to`: which of the step's ends. `counts`: a field that goes up by one.
        `adds`: what is added to the end of an array. `attempt`: one that is over with this step, to be counted
        soon; `count_at`: when to look, if there is none.
        """
        transition = TRANSITIONS[step]
        after = transition.to(to)
        states = [state.value for state in transition.sources]
        change: Document = {"$set": {**fields}}
        if stands_on_answer(step, after):
            change["$set"]["remove_at"] = self._clock.now() + KEPT
        if after is not None:
            change["$set"]["state"] = after.value
        if attempt is not None:
            change["$set"][f"attempts.{attempt.id}"] = to_document(attempt)
            count_at = self._clock.now()
        if count_at is not None:
            # The earlier one stays: whoever asks again and again does not put off what is to be counted.
            change["$min"] = {"count_at": count_at}
        if counts is not None:
            change["$inc"] = {counts: 1}
        if adds is not None:
            change["$push"] = {name: {"$each": [value]} for name, value in adds.items()}
        update = self._collection.update(
            {**where, "_id": transaction, "state": {"$in": states}}, change, outbox=messages
        )
        return await self._observe(transaction, update)


def _proved(authentication: VerifiedAuthentication, proof: DeviceProof) -> Document:
    return {"authentication": to_document(authentication), "proof": to_document(proof)}


def _issued(assertion_id: str, issued_at: datetime) -> Document:
    return {"assertion_id": assertion_id, "issued_at": issued_at}


# The user names of a transaction and of its request are stored as `hint`: another name would need a migration.


def _document(transaction: Transaction) -> Document:
    """The document of a transaction."""
    document = to_document(transaction, key="id")
    document["hint"] = document.pop("username")
    document["request"]["hint"] = document["request"].pop("username")
    return document


def _readable(documents: Sequence[Document], now: datetime) -> list[Uncounted]:
    """Those that this release can read. A newer one may have written an outcome that only its own replicas know, and
    those count it; here it must not be in the way of the others.
    """
    found: list[Uncounted] = []
    for document in documents:
        try:
            found.append(_uncounted(document, now))
        except ValueError as error:
            log.warning("figures.unreadable", transaction=document["_id"], error=str(error))
    return found


def _uncounted(document: Document, now: datetime) -> Uncounted:
    transaction = _transaction(document)
    noted = [from_document(Attempt, each) for each in document.get("attempts", {}).values()]
    end = transaction.expires_at + COUNTED_AFTER
    last = unanswered(transaction, now) if now >= end else None
    waits = transaction.state is TransactionState.WAITING and now < end
    return Uncounted(
        transaction=transaction.id,
        state=transaction.state,
        due=document["count_at"],
        attempts=(*noted, *([] if last is None else [last])),
        waits_until=end if waits else None,
    )


def _transaction(document: Document) -> Transaction:
    request = {**document["request"], "username": document["request"]["hint"]}
    renamed = {**document, "request": request, "username": document["hint"]}
    return from_document(Transaction, renamed, key="id")
